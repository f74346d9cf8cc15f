"""``voxcpm-openai completion``: the script, and what it completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support import TONE_PLUGINS
from voxcpm_openai.cli import main

PROGRAM = Path(sys.executable).with_name("voxcpm-openai")
ENVIRON = {"VOXCPM_ENGINE": "tone", "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_that_of_click(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_VOXCPM_OPENAI_COMPLETE={shell}_complete" in result.stdout
    assert "complete" in result.stdout.replace("_COMPLETE", "")


@pytest.mark.parametrize(
    ("begun", "found"),
    [
        ("voxcpm-openai comp", {"completion"}),
        ("voxcpm-openai speak --voi", {"--voice"}),
        ("voxcpm-openai speak --voice si", {"sine"}),
        ("voxcpm-openai speak --model ton", {"tone"}),
        ("voxcpm-openai speak --format fl", {"flac"}),
        ("voxcpm-openai voices show si", {"sine"}),
        ("voxcpm-openai text --engine clon", {"cloning-tone"}),
        ("voxcpm-openai completion z", {"zsh"}),
    ],
)
def test_commands_options_and_names_are_completed(begun: str, found: set[str]) -> None:
    asked = {
        "_VOXCPM_OPENAI_COMPLETE": "bash_complete",
        "COMP_WORDS": begun,
        "COMP_CWORD": str(len(begun.split()) - 1),
    }
    result = subprocess.run(
        [PROGRAM],
        env={**os.environ, **ENVIRON, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {line.partition(",")[2] for line in result.stdout.splitlines()} == found
    assert result.stderr == ""


def test_wrong_settings_complete_nothing_and_say_nothing() -> None:
    asked = {
        "_VOXCPM_OPENAI_COMPLETE": "bash_complete",
        "COMP_WORDS": "voxcpm-openai speak --voice s",
        "COMP_CWORD": "3",
        "VOXCPM_PORT": "x",
    }
    result = subprocess.run(
        [PROGRAM], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert (result.stdout.strip(), result.stderr) == ("", "")
