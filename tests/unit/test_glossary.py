"""Names that the glossary of the project has replaced are not used again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

FOLDERS = ("voxcpm_openai", "plugins", "benchmarks", "tests", "tools", "examples", "docs")
REPLACED_NAMES = set(
    "house seat underway arrival flight burden aside unread landing orders edges see_all see_past "
    "line_up guide gated go_on hear unheard spoken takes astray dry_at fitness unfit viewer "
    "stranger twin".split()
)
REPLACED_MODULES = set(
    "burden aside unread landing edges orders pace turns takes spoken fitness pieces".split()
)


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def defined(path: Path) -> Iterator[str]:
    """Yield the names of the functions, methods and classes that a file defines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name.strip("_").lower()


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_replaced_name_is_defined(path: Path) -> None:
    assert sorted(REPLACED_NAMES.intersection(defined(path))) == []


def test_no_module_has_a_replaced_name() -> None:
    stems = {path.stem.removeprefix("test_") for path in sources()}
    folders = {path.parent.name for path in sources()}
    assert sorted(REPLACED_MODULES & (stems | folders)) == []
