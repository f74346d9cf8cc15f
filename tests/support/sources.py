"""The source files of this repository."""

from __future__ import annotations

from pathlib import Path

from tests.support import ROOT

NAME = "voxcpm_openai"
PACKAGE = ROOT / NAME


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
