"""Previews of voices over HTTP."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import soundfile
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support import ROOT
from tests.support.uploads import (
    added,
    engine_of,
    error_of,
)
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of


def test_the_preview_of_an_added_voice_is_its_clip(client: FlaskClient) -> None:
    url = f"/v1/voices/{added(client)}/sample"
    reply = client.get(url)
    assert reply.content_type == "audio/flac"
    assert soundfile.info(io.BytesIO(reply.data)).duration > 3
    part = client.get(url, headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.data) == (206, reply.data[4:12])
    known = client.get(url, headers={"If-None-Match": reply.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")


def test_a_voice_with_options_for_the_engine_is_synthesized_once(client: FlaskClient) -> None:
    first = client.get("/v1/voices/sine/sample")
    assert first.content_type == "audio/flac"
    assert soundfile.info(io.BytesIO(first.data)).duration == pytest.approx(0.48)
    assert client.get("/v1/voices/sine/sample").data == first.data
    assert len(engine_of(client).utterances) == 1


def test_the_preview_of_a_stock_voice_without_options_for_the_engine_is_its_clip(
    client: FlaskClient,
) -> None:
    reply = client.get("/v1/voices/coral/sample")
    assert reply.data == (ROOT / "voices" / "coral.flac").read_bytes()


def test_a_voice_without_clip_and_options_is_refused(client: FlaskClient) -> None:
    assert error_of(client.get("/v1/voices/mute/sample")) == (400, "voice", "cannot_clone")
    assert error_of(client.get("/v1/voices/nobody/sample"))[0] == 404


def test_a_synthesized_preview_counts_as_a_stream(tone_settings: Settings) -> None:
    with running(replace(tone_settings, max_streams=1)) as client:
        with context_of(client.application).limits.enter():
            reply = client.get("/v1/voices/sine/sample")
        assert error_of(reply) == (503, None, "overloaded")
        assert client.get("/v1/voices/sine/sample").status_code == 200
        assert context_of(client.application).limits.running == 0
