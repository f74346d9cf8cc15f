"""The plugins of ``examples/``: dropped into a folder, installed as a package, and used."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from flask.testing import FlaskClient

from tests.conftest import started
from tests.support import EXAMPLES, ROOT
from tests.support.recogniser import Recogniser, word_error_rate
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

SPEECH = "/v1/audio/speech"
WELL_UNDERSTOOD = 0.2
SENTENCE = "My brother works in a small office near the station."


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of an app with hibari, and with plugins and voices from folders."""
    plugins = tmp_path_factory.mktemp("plugins")
    voices = tmp_path_factory.mktemp("voices")
    shutil.copy(EXAMPLES / "plugins" / "more_encoders.py", plugins)
    shutil.copy(EXAMPLES / "voices" / "wren.toml", voices)
    (voices / "clip.toml").write_text('name = "Only a clip"\n')
    soundfile.write(voices / "clip.flac", np.zeros(24_000, np.float32), 24_000)
    app = started(Settings(engine="hibari", plugins_dir=plugins, voices_dir=voices))
    yield app.test_client()
    context_of(app).engine.stop()


def speak(client: FlaskClient, **fields: object) -> bytes:
    body = {"model": "tts-1", "input": SENTENCE, "seed": 1, **fields}
    reply = client.post(SPEECH, json=body)
    assert reply.status_code == 200, reply.get_json()
    return reply.data


def error_rate(sound: npt.NDArray[np.float32], rate: int) -> float:
    """Return the share of the sentence's words that the recogniser gets wrong."""
    return word_error_rate([SENTENCE], [Recogniser().words(sound, rate)])


def test_an_encoder_from_the_plugins_folder_makes_mu_law_at_8_khz(folders: FlaskClient) -> None:
    body = {"model": "tts-1", "input": SENTENCE, "seed": 1, "response_format": "g711_ulaw"}
    reply = folders.post(SPEECH, json=body)
    assert reply.content_type == "audio/basic"
    assert reply.headers["x-audio-sample-rate"] == "8000"
    with av.open(
        io.BytesIO(reply.data), format="mulaw", options={"sample_rate": "8000"}
    ) as container:
        sound = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    straight = np.frombuffer(speak(folders, response_format="pcm", sample_rate=8000), "<i2").astype(
        float
    )
    assert len(sound) == len(straight)
    assert np.corrcoef(sound, straight)[0, 1] > 0.99


def test_an_encoder_from_the_plugins_folder_makes_opus_in_webm(folders: FlaskClient) -> None:
    data = speak(folders, response_format="webm")
    assert data.startswith(b"\x1a\x45\xdf\xa3")  # EBML
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert 2.0 < seconds < 6.0


def test_a_voice_from_the_voices_folder_is_intelligible(folders: FlaskClient) -> None:
    pcm = speak(folders, voice="wren", response_format="pcm")
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    assert error_rate(sound, 24_000) <= WELL_UNDERSTOOD
    listed = folders.get("/v1/voices/wren").get_json()
    assert (listed["name"], listed["engines"]) == ("Wren", ["embedded", "hibari"])


def test_a_voice_that_is_only_a_clip_needs_an_engine_that_clones(folders: FlaskClient) -> None:
    body = {"model": "tts-1", "input": SENTENCE, "voice": "clip"}
    reply = folders.post(SPEECH, json=body)
    error = reply.get_json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, "voice", "cannot_clone")
    assert "VOXCPM_ENGINE=voxcpm" in error["message"]
    assert folders.get("/v1/voices/clip").get_json()["clip"] is True


def test_a_voice_from_an_installed_package_is_intelligible(tmp_path: Path) -> None:
    # A new environment on top of this one: only the package is new, and nothing is downloaded.
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    (site / "outer.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    pack = tmp_path / "voice_pack"
    shutil.copytree(EXAMPLES / "voice_pack", pack)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("VOXCPM_", "PIP_"))}

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [python, "-m", *arguments],
            capture_output=True, text=True, env=environ, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", str(pack))
    assert "robin" in run("voxcpm_openai", "voices")
    run("voxcpm_openai", "speak", SENTENCE, "--voice", "robin", "-o", "robin.wav")
    sound, rate = soundfile.read(tmp_path / "robin.wav", dtype="float32")
    assert error_rate(sound, rate) <= WELL_UNDERSTOOD
