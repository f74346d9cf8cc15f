"""Files are short enough to be read, and long enough to be worth a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sources import NAME, shown, sources

MIN_LINES, MAX_LINES = 25, 330
SMALL_FILES = {
    "plugins/openai_presets.py": "a plugin is a file",
    "plugins/chinese_normalizer.py": "a plugin is a file",
    "plugins/english_normalizer.py": "a plugin is a file",
    f"{NAME}/__main__.py": "python -m",
    f"{NAME}/web/cors.py": "one blueprint or extension per file",
    f"{NAME}/runtime/errors.py": "shared by packages that must not import each other",
}


@pytest.mark.parametrize(
    "path", sources(NAME, "plugins", "benchmarks", "tests", "tools", "examples"), ids=shown
)
def test_a_file_is_neither_too_long_nor_too_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES
    is_module = shown(path).startswith((f"{NAME}/", "plugins/"))
    if is_module and path.name != "__init__.py" and shown(path) not in SMALL_FILES:
        assert lines >= MIN_LINES
