"""Writes the parts of the docs that come from the code: settings, hooks, routes, commands.

``python docs/generate.py`` writes them; ``tests/live/test_docs.py`` fails where they are stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from voxcpm_openai import hookspecs
from voxcpm_openai.app import create_app
from voxcpm_openai.cli import main as program
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


def commands() -> str:
    """Return every command with its help and its options."""
    return "\n\n".join(_command(context) for context in _contexts(click.Context(program)))


def _contexts(parent: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command of a group and its groups, in the order of their names."""
    assert isinstance(parent.command, click.Group)
    for name in sorted(parent.command.commands):
        command = parent.command.commands[name]
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from _contexts(context)


def _command(context: click.Context) -> str:
    command = context.command
    usage = " ".join(
        ("voxcpm-openai", context.command_path, *command.collect_usage_pieces(context))
    )
    parts = [f"### `{' '.join(usage.replace('[OPTIONS]', '').split())}`", _markdown(command)]
    records = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
    ]
    if records:
        cells = ((option.replace("|", "\\|"), text.replace("  ", " ")) for option, text in records)
        rows = (f"| `{option}` | {text} |" for option, text in cells)
        parts.append("\n".join(("| option | meaning |", "|---|---|", *rows)))
    return "\n\n".join(parts)


def _markdown(command: click.Command) -> str:
    """Return the help of a command; a paragraph whose lines must not be joined becomes code."""
    paragraphs = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        code = paragraph.removeprefix("\b\n")
        is_code = code != paragraph
        paragraphs.append(f"```text\n{code}\n```" if is_code else paragraph.replace("  ", " "))
    return "\n\n".join(paragraphs)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "hooks": hooks,
    "routes": routes,
    "commands": commands,
}


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
