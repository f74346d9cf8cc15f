"""The smallest and the largest value of each field of a speech request, and null."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.support.uploads import error_of

GOOD = {"model": "tone", "input": "Hello.", "voice": "alloy"}
ACCEPTED = [
    *(("sample_rate", rate) for rate in (8000, 11025, 12000, 16000, 22050, 24000, 32000)),
    *(("sample_rate", rate) for rate in (44100, 48000)),
    *(("speed", speed) for speed in (0.25, 4, 4.0)),
    *(("seed", seed) for seed in (0, 2**63 - 1, "42", 1.0, -1, "-1", -1.0)),
    *(("cfg_value", value) for value in (0.1, 10)),
    *(("inference_steps", steps) for steps in (2, 100)),
    *(("stream_format", name) for name in ("audio", "sse")),
    *(("instructions", text) for text in ("", "x" * 4096)),
    *(("language", code) for code in ("en", "en-US", "zh-Hans-CN", "english", "Chinese", "AUTO")),
    *((name, ms) for name in ("lead_ms", "tail_ms") for ms in (0, 2000)),
    *(("voice", voice) for voice in ("", "  ", "alloy", {"id": "alloy"})),
]
REFUSED = [
    *(("sample_rate", rate) for rate in (7999, 48001, 24000.5, "24000", True)),
    *(("speed", speed) for speed in (0.24, 4.01, "fast", float("inf"))),
    *(("seed", seed) for seed in (-2, 2**63, 1.5, True, "1.5", "x", "4_2", "9" * 5000)),
    *(("cfg_value", value) for value in (0.09, 10.1)),
    *(("inference_steps", steps) for steps in (1, 101)),
    ("stream_format", "events"),
    ("instructions", "x" * 4097),
    *(("language", code) for code in ("e", "Elvish", "en_US", 7)),
    *((name, ms) for name in ("lead_ms", "tail_ms") for ms in (-1, 2001, 0.5, "long")),
    *(("voice", voice) for voice in (7, [], {"id": ""}, {"id": None}, {}, {"name": "alloy"})),
]
NULLABLE = sorted({name for name, _ in ACCEPTED} | {"response_format"})


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_value_within_the_bounds_is_accepted(
    client: FlaskClient, name: str, value: object
) -> None:
    assert client.post("/v1/audio/speech", json={**GOOD, name: value}).status_code == 200


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_beyond_the_bounds_is_refused_by_its_name(
    client: FlaskClient, name: str, value: object
) -> None:
    reply = client.post("/v1/audio/speech", json={**GOOD, name: value})
    assert error_of(reply)[:2] == (400, name)


@pytest.mark.parametrize("name", NULLABLE)
def test_null_means_unset(client: FlaskClient, name: str) -> None:
    assert client.post("/v1/audio/speech", json={**GOOD, name: None}).status_code == 200


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("name", [*NULLABLE, "lexicon", "normalize"])
def test_an_empty_string_means_unset(client: FlaskClient, name: str, empty: str) -> None:
    reply = client.post("/v1/audio/speech", json={**GOOD, name: empty})
    assert (reply.status_code, reply.headers.get("x-voxcpm-ignored")) == (200, None)


@pytest.mark.parametrize("name", ["model", "input"])
def test_what_is_required_is_not_null(client: FlaskClient, name: str) -> None:
    reply = client.post("/v1/audio/speech", json={**GOOD, name: None})
    assert error_of(reply)[:2] == (400, name)


@pytest.mark.parametrize(
    ("name", "status"), [("model", 404), ("voice", 400), ("response_format", 400)]
)
def test_a_name_has_at_most_256_characters(client: FlaskClient, name: str, status: int) -> None:
    """Up to there it is unknown; a longer one is not repeated in the message."""
    known, long = (
        client.post("/v1/audio/speech", json={**GOOD, name: "x" * length}) for length in (256, 257)
    )
    assert known.status_code == status
    assert "x" * 256 in known.get_json()["error"]["message"]
    assert error_of(long)[:2] == (400, name)
    assert "at most 256 characters" in long.get_json()["error"]["message"]
