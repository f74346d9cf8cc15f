"""Added voices with the voxcpm engine on tiny checkpoints: designed, uploaded, used."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.conftest import running
from tests.support.runtime.utterances import settings_of as engine_settings
from tests.support.uploads import error_of, send, speak
from voxcpm_openai.settings import Settings

DESIGN = {"name": "Grandpa", "description": "a calm old man"}


@pytest.fixture
def settings_of(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Settings]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def settings(kind: str) -> Settings:
        return engine_settings(
            checkpoint(kind), engine="voxcpm", data_dir=tmp_path / "data", require_consent=False
        )

    return settings


def test_voxcpm2_designs_a_voice_and_speaks_with_it(
    settings_of: Callable[[str], Settings],
) -> None:
    with running(settings_of("voxcpm2")) as client:
        candidates = client.post("/v1/voices", json=DESIGN).get_json()["candidates"]
        samples = [client.get(candidate["sample_url"]).data for candidate in candidates]
        assert len(set(samples)) == 3
        assert all(soundfile.info(io.BytesIO(flac)).duration > 0.1 for flac in samples)
        voice = client.post(f"/v1/voices/{candidates[0]['id']}/keep").get_json()["id"]
        assert speak(client, voice).status_code == 200


def test_voxcpm2_takes_a_clip_without_a_transcript(settings_of: Callable[[str], Settings]) -> None:
    with running(settings_of("voxcpm2")) as client:
        voice = send(client, consent=None).get_json()["id"]
        assert speak(client, voice).status_code == 200


def test_the_others_need_a_transcript_and_design_no_voices(
    settings_of: Callable[[str], Settings],
) -> None:
    with running(settings_of("voxcpm15")) as client:
        assert error_of(client.post("/v1/voices", json=DESIGN)) == (400, "description", None)
        voice = send(client, consent=None, transcript="The words.").get_json()["id"]
        assert speak(client, voice).status_code == 200
