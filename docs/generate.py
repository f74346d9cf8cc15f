"""Writes the parts of the docs that come from the code: settings, hooks, routes.

``python docs/generate.py`` writes them; ``tests/live/test_docs.py`` fails where they are stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from voxcpm_openai import hookspecs
from voxcpm_openai.app import create_app
from voxcpm_openai.registry import load_registry
from voxcpm_openai.setting_sources import RawSettings, sources
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.openapi.document import document

DOCS = Path(__file__).parent


def settings_table() -> str:
    """Return every setting, the plugins' own included, with its default and its meaning."""
    settings = Settings()
    rows = ["| variable | key | default | meaning |", "|---|---|---|---|"]
    for kind in (Settings, *load_registry(settings).plugin_settings()):
        for source in sources(kind, RawSettings()):
            value = source.value
            default = str(value).lower() if isinstance(value, bool) else value
            shown = "" if value in (None, ()) else f"`{default}`"
            rows.append(f"| `{source.variable}` | `{source.key}` | {shown} | {source.help} |")
    return "\n".join(rows)


def hooks() -> str:
    """Return every hook with its signature and its docstring."""
    parts = []
    for name, hook in vars(hookspecs).items():
        if name.startswith("register_"):
            signature = f"def {name}{inspect.signature(hook)}".replace("'", "")
            parts.append(f"```python\n{signature}\n```\n\n{inspect.getdoc(hook)}")
    return "\n\n".join(parts)


def routes() -> str:
    """Return every route, whether it needs a key, and its summary, from the OpenAPI document."""
    found = []
    for path, operations in document(create_app(Settings()))["paths"].items():
        for method, operation in operations.items():
            key = "" if {} in operation["security"] else "yes"
            found.append(f"| `{method.upper()} {path}` | {key} | {operation['summary']} |")
    return "\n".join(["| route | key | what it does |", "|---|---|---|", *sorted(found)])


PARTS: dict[str, Callable[[], str]] = {"settings": settings_table, "hooks": hooks, "routes": routes}


def render(page: str) -> str:
    """Return a page with its generated parts made anew."""

    def part(match: re.Match[str]) -> str:
        begin, name, end = match.group(1, 2, 3)
        return f"{begin}\n{PARTS[name]()}\n{end}"

    pattern = re.compile(r"(<!-- generated: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(part, page)


def main() -> None:
    """Write every page whose generated parts have changed."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (fresh := render(page)) != page:
            path.write_text(fresh, encoding="utf-8")
            print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
