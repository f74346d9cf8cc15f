"""Voice design over HTTP."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.uploads import (
    JANE,
    JOHN,
    NOBODY,
    engine_of,
    error_of,
    ids,
    speak,
)
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices import preview
from voxcpm_openai.voices.store import data_folder
from voxcpm_openai.web.app_context import context_of

DESIGN = {"name": "Grandpa", "description": "a calm old man"}


def test_a_candidate_can_be_previewed_and_kept(shared: FlaskClient) -> None:
    reply = shared.post("/v1/voices", json={**DESIGN, "language": "zh-CN"}, headers=JANE)
    candidates = reply.get_json()["candidates"]
    assert [set(candidate) for candidate in candidates] == [{"id", "seed", "sample_url"}] * 3
    assert len({candidate["seed"] for candidate in candidates}) == 3
    previews = [shared.get(c["sample_url"], headers=JANE).data for c in candidates]
    assert len(set(previews)) == 3
    utterance = engine_of(shared).utterances[-1]
    assert utterance.voice.description == "a calm old man"
    assert utterance.voice.audio is None
    assert "清晨" in utterance.segments[0].text
    url = f"/v1/voices/{candidates[1]['id']}/keep"
    kept = shared.post(url, headers=JANE).get_json()
    assert (kept["object"], kept["name"]) == ("audio.voice", "Grandpa")
    assert shared.get(f"/v1/voices/{kept['id']}/sample", headers=JANE).data == previews[1]
    assert speak(shared, kept["id"], JANE).status_code == 200
    voice = engine_of(shared).utterances[-1].voice
    assert voice.transcript == utterance.segments[0].text
    assert voice.audio is not None
    assert error_of(shared.post(url, headers=JANE))[0] == 404  # it is a voice now


def test_a_form_without_a_clip_designs_too(shared: FlaskClient) -> None:
    reply = shared.post("/v1/voices", data=DESIGN, headers=JANE, content_type="multipart/form-data")
    assert len(reply.get_json()["candidates"]) == 3


def test_candidates_belong_to_their_key(shared: FlaskClient) -> None:
    made = shared.post("/v1/voices", json=DESIGN, headers=JANE).get_json()["candidates"][0]
    for other in (JOHN, NOBODY):
        assert shared.get(made["sample_url"], headers=other).status_code == 404
    assert shared.post(f"/v1/voices/{made['id']}/keep", headers=JOHN).status_code == 404
    assert shared.post(f"/v1/voices/{made['id']}/keep").status_code == 401
    assert made["id"] not in ids(shared, JANE)


def test_candidates_expire_after_an_hour(
    shared: FlaskClient, tone_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shared.post("/v1/voices", json=DESIGN, headers=JANE).get_json()["candidates"]
    assert tone_settings.data_dir is not None
    folder = tone_settings.data_dir / "candidates"
    assert len(list(folder.iterdir())) == 3
    now = time.time()
    monkeypatch.setattr(data_folder.time, "time", lambda: now + 3590)
    assert shared.get(made[0]["sample_url"], headers=JANE).status_code == 200
    monkeypatch.setattr(data_folder.time, "time", lambda: now + 3610)
    assert shared.get(made[0]["sample_url"], headers=JANE).status_code == 404
    assert shared.post(f"/v1/voices/{made[0]['id']}/keep", headers=JANE).status_code == 404
    assert list(folder.iterdir()) == []  # swept by the next write


def test_an_engine_that_cannot_design_names_one_that_can(client: FlaskClient) -> None:
    reply = client.post("/v1/voices", json=DESIGN)
    assert error_of(reply) == (400, "description", None)
    assert "VOXCPM_MODEL=openbmb/VoxCPM2" in reply.get_json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x"}, "description"),
        ({"name": "x", "description": " "}, "description"),
        ({"description": "x"}, "name"),
        ({"name": "", "description": "x"}, "name"),
        ({**DESIGN, "language": "?"}, "language"),
    ],
)
def test_a_wrong_design_is_refused(shared: FlaskClient, body: dict[str, str], param: str) -> None:
    assert error_of(shared.post("/v1/voices", json=body, headers=JANE)) == (400, param, None)


def test_candidates_count_as_streams(tone_settings: Settings) -> None:
    with running(replace(tone_settings, engine="cloning-tone", max_streams=3)) as client:
        limits = context_of(client.application).limits
        with limits.enter():
            assert error_of(client.post("/v1/voices", json=DESIGN)) == (503, None, "overloaded")
            assert limits.running == 1
        assert client.post("/v1/voices", json=DESIGN).status_code == 200
        assert limits.running == 0


def test_a_candidate_that_fails_ends_the_others(
    shared: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(preview.SENTENCES, "en", "fail-early")
    reply = shared.post("/v1/voices", json=DESIGN, headers=JANE)
    assert reply.status_code == 503
    assert engine_of(shared).status().streams == 0
    assert context_of(shared.application).limits.running == 0


def test_a_candidate_beyond_the_limit_on_voices_cannot_be_kept(tone_settings: Settings) -> None:
    with running(replace(tone_settings, engine="cloning-tone", max_voices=0)) as client:
        made = client.post("/v1/voices", json=DESIGN).get_json()["candidates"][0]
        reply = client.post(f"/v1/voices/{made['id']}/keep")
        assert error_of(reply) == (400, None, "voices_full")
        assert client.get(made["sample_url"]).status_code == 200


def test_the_previews_of_candidates_have_their_audio(shared: FlaskClient) -> None:
    made = shared.post("/v1/voices", json=DESIGN, headers=JANE).get_json()["candidates"]
    for candidate in made:
        data = shared.get(candidate["sample_url"], headers=JANE).data
        samples, rate = soundfile.read(io.BytesIO(data))
        spectrum = np.abs(np.fft.rfft(samples))
        pitch = np.argmax(spectrum) * rate / len(samples)
        assert pitch == pytest.approx(440 + candidate["seed"] % 400, abs=3)
