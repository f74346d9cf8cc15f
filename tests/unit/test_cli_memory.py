"""``voxcpm-openai check --model`` where the packages of the voxcpm engine are missing."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import pytest
from click.testing import CliRunner

from voxcpm_openai.cli import main


def test_the_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name in ("torch", "tokenizers") else ModuleSpec(name, None)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    result = CliRunner().invoke(main, ["check", "--model", "VoxCPM2"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: the memory of a model is computed with the packages torch, tokenizers, which are "
        "missing; pip install 'voxcpm-openai[voxcpm]'.\n"
    )
