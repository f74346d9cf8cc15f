"""A hook of MkDocs: links to files outside ``docs/`` lead to the repository.

On the repository's pages the relative links work as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\((?P<path>\.\./[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: object) -> str:
    """Return a page's Markdown with such links made absolute.  MkDocs calls it for each page."""
    folder = Path(page.file.abs_src_path).parent

    def absolute(found: re.Match[str]) -> str:
        target = (folder / found["path"]).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.is_relative_to(ROOT):
            return found[0]
        kind = "tree" if target.is_dir() else "blob"
        path = target.relative_to(ROOT).as_posix()
        return f"]({config.repo_url}/{kind}/main/{path}{found['anchor'] or ''})"

    return LINK.sub(absolute, markdown)
