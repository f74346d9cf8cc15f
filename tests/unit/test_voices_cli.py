"""``voxcpm-openai voices``, run as a command."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support import ROOT, TONE_PLUGINS
from tests.support.command import output_of
from tests.support.command import run as run_cli

RECORDING = ROOT / "voices" / "alloy.flac"


@pytest.fixture
def run(tmp_path: Path):
    """Run ``voices`` commands with a data folder of their own."""
    settings = {
        "data_dir": str(tmp_path / "data"),
        "plugins_dir": str(TONE_PLUGINS),
        "engine": "cloning-tone",
    }

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        return run_cli("voices", *arguments, cwd=tmp_path, **{**settings, **more})

    return call


def test_a_voice_is_added_shown_previewed_and_removed(run, tmp_path: Path) -> None:
    adding = run(
        "add", str(RECORDING), "--name", "Ørjan", "--transcript", "Some words.",
        "--description", "Calm.", "--language", "nb", "--consent", str(RECORDING),
    )  # fmt: skip
    assert adding.returncode == 0, output_of(adding)
    voice = adding.stdout.decode().strip()
    assert re.fullmatch(r"voice_[0-9a-f]{24}", voice)
    (line,) = [line for line in output_of(run("list")).splitlines() if line.startswith(voice)]
    assert "Ørjan, Calm." in line
    assert line.endswith("any engine that clones")
    assert output_of(run()) == output_of(run("list"))
    shown = output_of(run("show", voice))
    for fact in ("Ørjan", "Some words.", "nb", "clip.flac"):
        assert fact in shown
    assert len(list((tmp_path / "data" / "consents").iterdir())) == 1
    for ending in ("flac", "wav"):
        assert run("preview", voice, "-o", f"me.{ending}").returncode == 0
        assert soundfile.info(tmp_path / f"me.{ending}").duration > 3
    assert run("remove", voice, "--yes").returncode == 0
    assert "does not exist" in output_of(run("show", voice))


def test_a_built_in_voice_is_previewed_and_cannot_be_removed(run, tmp_path: Path) -> None:
    assert run("preview", "sine", "-o", "sine.wav", engine="tone").returncode == 0
    assert soundfile.info(tmp_path / "sine.wav").duration > 0.4
    removing = run("remove", "sine", "--yes")
    assert removing.returncode == 1
    assert "built in" in output_of(removing)


def test_remove_asks_for_confirmation(run) -> None:
    voice = run("add", str(RECORDING), "--name", "Me").stdout.decode().strip()
    assert run("remove", voice).returncode == 1  # not confirmed
    assert run("show", voice).returncode == 0


def test_a_voice_is_designed_previewed_and_kept(run, tmp_path: Path) -> None:
    designing = run("design", "a calm old man", "--name", "Grandpa")
    assert designing.returncode == 0, output_of(designing)
    candidates = re.findall(r"cand_\w+", designing.stdout.decode())
    assert len(candidates) == 3
    assert run("preview", candidates[0], "-o", "one.wav").returncode == 0
    voice = run("keep", candidates[0]).stdout.decode().strip()
    assert run("preview", voice, "-o", "kept.wav").returncode == 0
    one, kept = (soundfile.read(tmp_path / name)[0] for name in ("one.wav", "kept.wav"))
    assert np.array_equal(one, kept)
    assert "Grandpa" in output_of(run("show", voice))


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("add", "nowhere.wav", "--name", "x"), {}, "does not exist"),
        (("add", str(RECORDING)), {}, "Missing option '--name'"),
        (("add", str(RECORDING), "--name", " "), {}, "'name' must have 1 to 100 characters"),
        (("add", str(RECORDING), "--name", "x", "--language", "?"), {}, "not a language code"),
        (("add", str(RECORDING), "--name", "x"), {"max_voices": "0"}, "VOXCPM_MAX_VOICES"),
        (("add", str(RECORDING), "--name", "x"), {"data_dir": "/proc/no"}, "VOXCPM_DATA_DIR"),
        (("add", str(ROOT / "Makefile"), "--name", "x"), {}, "accepted are"),
        (("add", "/dev/zero", "--name", "x"), {}, "at most 10 MiB are accepted"),  # it never ends
        (
            ("add", str(RECORDING), "--name", "x", "--consent", str(RECORDING)),
            {"max_consents": "0"},
            "VOXCPM_MAX_CONSENTS",
        ),
        (("show", "nobody"), {}, "does not exist"),
        (("preview", "nobody"), {}, "does not exist"),
        (("preview", "coral", "-o", "x.mp3"), {}, ".flac or .wav"),
        (("preview", "coral", "-o", "no/such/x.wav"), {}, "cannot be written"),
        (("keep", "cand_1"), {}, "kept an hour"),
        (("design", "x"), {"engine": "tone"}, "VOXCPM_MODEL=openbmb/VoxCPM2"),
    ],
)
def test_errors_are_messages_without_a_traceback(
    run, arguments: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    result = run(*arguments, **settings)
    assert result.returncode != 0
    assert message in output_of(result)
    assert "Traceback" not in output_of(result)


def test_the_consent_is_deleted_if_the_voice_cannot_be_added(run, tmp_path: Path) -> None:
    result = run("add", str(RECORDING), "--name", "x", "--consent", str(RECORDING), max_voices="0")
    assert result.returncode == 1
    assert list((tmp_path / "data" / "consents").iterdir()) == []
