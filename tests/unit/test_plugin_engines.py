"""Engines of foreign plugins: the example of the docs, own request fields, speakers."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import running
from tests.support import EXAMPLES, ROOT
from tests.support.command import run
from tests.support.foreign_engine import SPEECH, foreign, speak
from tests.support.live_server import Server
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.web.app_context import context_of

BEEP_SECONDS = 0.2


# The engine of the docs


@pytest.fixture
def beep_folder(tmp_path: Path) -> Path:
    """An empty folder with the engine, copied from the page."""
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    (source,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        if "class BeepEngine" in block
    ]
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "beep_engine.py").write_text(source, encoding="utf-8")
    return folder


def test_the_page_shows_the_example(beep_folder: Path) -> None:
    shown = (beep_folder / "beep_engine.py").read_text(encoding="utf-8")
    assert shown == (EXAMPLES / "plugins" / "beep_engine.py").read_text(encoding="utf-8")


def test_it_speaks_over_http_with_a_stock_voice_that_has_no_options_for_it(
    beep_folder: Path,
) -> None:
    with Server(engine="beep", plugins_dir=str(beep_folder), beep_pitch="1000") as server:
        server.wait_ready()
        body = {
            "model": "tts-1",
            "voice": "coral",
            "input": "One two three.",
            "response_format": "pcm",
        }
        request = urllib.request.Request(
            f"{server.url}{SPEECH}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            samples = np.frombuffer(reply.read(), "<i2")
        assert server.ready()["engine"]["name"] == "beep"
        assert server.stop() == 0
    assert len(samples) / 24_000 == pytest.approx(3 * BEEP_SECONDS, abs=0.01)
    assert pitch_of(samples, 24_000) == pytest.approx(1000, abs=5)


def test_it_speaks_on_the_command_line(beep_folder: Path, tmp_path: Path) -> None:
    settings = {"engine": "beep", "plugins_dir": str(beep_folder)}
    path = tmp_path / "beeps.wav"
    result = run("speak", "One two.", "-o", str(path), "--voice", "nova", **settings)
    assert result.returncode == 0, result.stderr.decode()
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(2 * BEEP_SECONDS, abs=0.01)
    assert pitch_of(samples, rate) == pytest.approx(440, abs=5)


def test_check_lists_it_with_its_settings_and_where_they_come_from(
    beep_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "voxcpm.toml"
    file.write_text('engine = "beep"\n[beep]\npitch = 880\n')
    result = run("check", plugins_dir=str(beep_folder), config=str(file))
    output = result.stdout.decode()
    assert result.returncode == 0, result.stderr.decode()
    assert re.search(
        r"^beep\.pitch +880\.0 +\[.*voxcpm\.toml: beep\.pitch\]$", output, re.MULTILINE
    )
    assert "plugin beep_engine" in output
    assert "chosen: engine beep" in output


def test_a_wrong_value_of_its_setting_stops_the_start(beep_folder: Path) -> None:
    settings = load_settings(
        {"VOXCPM_PLUGINS_DIR": str(beep_folder), "VOXCPM_BEEP_PITCH": "very high"}
    )
    with pytest.raises(StartError, match="VOXCPM_BEEP_PITCH = 'very high': Not a valid number"):
        AppContext.open(settings)


def pitch_of(samples: Any, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


# Request fields of an engine's own


OWN_FIELD = """
capabilities = Capabilities(sample_rate=24_000, params=("beat", "seed", "cfg_value"))

def synthesize(self, utterance):
    beat = utterance.options.get("beat", 1)
    if not isinstance(beat, int):
        raise InvalidRequest(f"'beat' must be a whole number, not {beat!r}.", param="beat")
    self.seen = (dict(utterance.options), utterance.seed)
    return GeneratorStream(CHUNK for _ in range(beat))
"""


@pytest.mark.parametrize("strict", [False, True])
def test_a_field_of_the_engines_own_reaches_it_also_in_strict_mode(
    tmp_path: Path, strict: bool
) -> None:
    with running(foreign(tmp_path, OWN_FIELD, strict=strict)) as client:
        reply = speak(client, beat=3, seed=5, cfg_value=2.0)
        assert reply.status_code == 200
        assert len(reply.data) == 3 * 4_800
        assert "x-voxcpm-ignored" not in reply.headers
        engine: Any = context_of(client.application).engine.get()
        assert engine.seen[0]["beat"] == 3
        assert engine.seen[0]["cfg_value"] == 2.0
        assert engine.seen[1] == 5
        assert len(speak(client, beat=None).data) == 4_800  # null is unset
        wrong = speak(client, beat="fast")
        assert (wrong.status_code, wrong.get_json()["error"]["param"]) == (400, "beat")
        other = speak(client, beet=3)
        assert other.status_code == (400 if strict else 200)
        if not strict:
            assert other.headers["x-voxcpm-ignored"] == "beet"


def test_a_field_of_another_engines_own_is_ignored(tmp_path: Path) -> None:
    with running(foreign(tmp_path)) as client:
        reply = speak(client, beat=3)
    assert len(reply.data) == 4_800
    assert reply.headers["x-voxcpm-ignored"] == "beat"


# Speakers


def test_an_engine_without_a_default_speaker_refuses_voices_without_options_for_it(
    tmp_path: Path,
) -> None:
    source = "capabilities = Capabilities(24_000, default_speaker=False)"
    voices = tmp_path / "voices"
    voices.mkdir()
    (voices / "own.toml").write_text('name = "Own"\n[options.foreign]\n')
    settings = replace(foreign(tmp_path, source), voices_dir=voices)
    with running(settings) as client:
        assert speak(client, voice="own").status_code == 200
        reply = speak(client, voice="coral")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (400, "cannot_clone")
    assert "foreign" in reply.get_json()["error"]["message"]


def test_the_example_of_the_docs_can_be_copied_as_a_file(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "plugins" / "beep_engine.py", tmp_path)
    settings = Settings(engine="beep", plugins_dir=tmp_path, data_dir=tmp_path / "data")
    with running(settings) as client:
        assert speak(client).status_code == 200
