"""Random request bodies give speech or a 4xx with a message, never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import TONE, started
from voxcpm_openai.web.app_context import context_of

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "alloy", "tts-1", "pcm", "sse", "1.0", "🙂", "\ud800", "Привет", "."]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=5), SCALARS, max_size=3),
)
FIELDS = (
    "model input voice response_format speed instructions stream_format seed sample_rate cfg_value "
    "inference_steps language lexicon other"
).split()
GOOD = {"model": "gpt-4o-mini-tts", "input": "Hello.", "response_format": "pcm"}


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    app = started(TONE)
    yield app.test_client()
    assert context_of(app).limits.running == 0
    context_of(app).engine.stop()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_no_value_of_any_field_is_a_500(client: FlaskClient, changes: dict[str, object]) -> None:
    body = json.dumps({**GOOD, **changes})
    with client.post("/v1/audio/speech", data=body, content_type="application/json") as reply:
        if reply.status_code == 200:
            assert reply.data
        else:
            assert reply.status_code in (400, 404)
            assert reply.get_json()["error"]["message"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=300))
def test_no_text_is_a_500(client: FlaskClient, text: str) -> None:
    with client.post("/v1/audio/speech", json={**GOOD, "input": text}) as reply:
        assert reply.status_code in (200, 400)
        assert reply.data


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=200))
def test_no_body_is_a_500(client: FlaskClient, body: bytes) -> None:
    with client.post("/v1/audio/speech", data=body, content_type="application/json") as reply:
        assert reply.status_code == 400
