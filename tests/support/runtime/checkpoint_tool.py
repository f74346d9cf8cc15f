"""``tools/check_checkpoint.py``, run in this process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from click.testing import CliRunner, Result

from tests.support import ROOT

WRONG = "WRONG"


class Line(NamedTuple):
    """A finding."""

    level: str
    what: str
    text: str


def _load() -> ModuleType:
    path = ROOT / "tools" / "check_checkpoint.py"
    spec = importlib.util.spec_from_file_location("check_checkpoint", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


tool: Any = _load()


def check_files(folder: Path) -> list[Line]:
    """Check the files of a folder; nothing is loaded or spoken."""
    report = tool.Report(quiet=True)
    tool.check_files(report, folder, torch.bfloat16)
    return [Line(**finding) for finding in report.findings]


def run(*arguments: str) -> Result:
    """Run the command on the CPU."""
    return CliRunner().invoke(tool.main, [*arguments, "--device", "cpu"])
