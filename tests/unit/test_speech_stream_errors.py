"""What ``/v1/audio/speech/stream`` refuses, and what an error leaves behind, without a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from flask import Flask

from tests.conftest import running
from tests.support.speech_stream import (
    DONE,
    config,
    converse,
    heard,
    kinds,
    of_kind,
    text,
)
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.sockets import speech_stream, speech_utterance
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Opening

THREE = "Hello there. How are you? I am fine."
SPEECH = 3 * 3840 * 2
"""Bytes of a sentence of the tone engine."""


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (text("Hello."), "session.config"),
        (DONE, "session.config"),
        (b"\x00", "binary"),
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ({"type": "nonsense"}, "nonsense"),
        (config(voice="nobody"), "nobody"),
        (config(model="nothing"), "nothing"),
        (config(response_format="midi"), "midi"),
        (config(speed=9), "'speed'"),
        (config(seed=True), "'seed'"),
        (config(stream_audio="yes"), "'stream_audio'"),
        (config(word_timestamps=1), "'word_timestamps'"),
        (config(split_granularity="word"), "'split_granularity'"),
        (config(instructions=[]), "'instructions'"),
    ],
)
def test_without_a_valid_configuration_the_socket_is_closed(
    app: Flask, message: Any, named: str
) -> None:
    sent, code = converse(app, message, config(), text("Hello."), DONE)
    assert code == 1008
    assert kinds(sent) == ["error"]
    assert named in of_kind(sent, "error")[0]["message"]


def test_a_configuration_must_not_be_late(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_stream, "CONFIG_SECONDS", 0.01)
    sent, code = converse(app, heard("nothing"))
    assert (kinds(sent), code) == (["error"], 1008)
    monkeypatch.setattr(speech_stream, "CONFIG_SECONDS", 10.0)
    sent, code = converse(app, config(), text("Hello."), DONE, heard("session.done"))
    assert code is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (b"\x00", "binary"),
        ("{", "not valid JSON"),
        ({"type": "nonsense"}, "nonsense"),
        ({"type": ["session.close"]}, "session.close"),
        (text(5), "'text'"),
        (text("ä" * (64 * 1024 + 1)), "128 KiB"),
        (text("word " * 820), "VOXCPM_MAX_INPUT_CHARS"),
        (config(voice="nobody"), "nobody"),
    ],
)
def test_a_wrong_message_is_answered_and_the_socket_stays(
    app: Flask, message: Any, named: str
) -> None:
    sent, code = converse(app, config(), message, text("Hello."), DONE, heard("session.done"))
    assert code is None
    assert kinds(sent) == ["error", "audio.start", "audio", "audio.done", "session.done"]
    assert named in of_kind(sent, "error")[0]["message"]


@pytest.mark.parametrize("granularity", ["none", "sentence"])
@pytest.mark.parametrize(
    ("streams", "failing", "messages"),
    [
        (False, "fail-early.", ["error"]),
        (False, "fail-late.", ["audio.start", "error", "audio.done"]),
        (True, "fail-late.", ["audio.start", "audio", "error", "audio.done"]),
        (True, "🙂", ["error"]),
    ],
)
def test_an_utterance_that_fails_leaves_the_socket_usable(
    app: Flask, granularity: str, streams: bool, failing: str, messages: list[str]
) -> None:
    start = config(stream_audio=streams, split_granularity=granularity)
    failed = (text(failing), DONE, heard("session.done"))
    sent, code = converse(app, start, *failed, text("Hello."), DONE, heard("session.done", 2))
    assert code is None
    assert kinds(sent)[: len(messages) + 1] == [*messages, "session.done"]
    partial = of_kind(sent, "error")[0].get("partial_audio", False)
    assert partial == ("audio" in messages)
    assert {one["error"] for one in of_kind(sent, "audio.done")[:-1]} <= {True}
    assert sent[-1] == {"type": "session.done", "utterance_index": 1, "total_sentences": 1}
    assert of_kind(sent, "audio.done")[-1]["error"] is False


def test_the_rest_of_an_utterance_that_has_failed_is_not_said(app: Flask) -> None:
    start = config(split_granularity="sentence")
    more = text("more. " * 500)  # two of these would be too much
    script = (text("fail-early now. And "), heard("error"), more, more, DONE)
    sent, _ = converse(app, start, *script, heard("session.done"))
    assert kinds(sent) == ["error", "session.done"]


def test_utterances_that_wait_are_bounded(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_stream, "MAX_UTTERANCES", 2)
    monkeypatch.setattr(speech_stream, "PATIENCE", 0.01)
    one = (text("hang"), DONE)
    sent, code = converse(app, config(), *one, *one, text("Hello."), heard("error"))
    assert (kinds(sent), code) == (["error"], None)
    assert "2 utterances" in of_kind(sent, "error")[0]["message"]


def test_a_file_that_would_be_too_large_is_refused(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_utterance, "MAX_WHOLE", SPEECH)
    script = (text(THREE), DONE, text("Hello."), DONE, heard("session.done", 2))
    sent, _ = converse(app, config(), *script)
    first = ["audio.start", "error", "audio.done", "session.done"]
    assert kinds(sent) == [*first, "audio.start", "audio", "audio.done", "session.done"]
    streamed, _ = converse(app, config(stream_audio=True), *script)
    assert of_kind(streamed, "error") == []


def test_a_client_that_is_faster_than_the_speech_waits(tone_settings: Settings) -> None:
    with running(replace(tone_settings, max_input_chars=60)) as client:
        start = config(split_granularity="sentence")
        pieces = [text(word + " ") for word in THREE.split() * 10]
        sent, _ = converse(client.application, start, *pieces, DONE, heard("session.done"))
        assert of_kind(sent, "error") == []
        assert sent[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 30}


def test_an_error_that_two_threads_find_is_told_once(app: Flask) -> None:
    context = context_of(app)
    output = OutputSpec(context.registry.formats["pcm"], 24_000)
    request = SpeechRequest(model="tone", input="")
    whole = speech_utterance.Config(request, output, False, "none", False)
    opening = Opening(context, OPERATOR, {}, {})
    channel = cast(Channel, None)
    utterance = speech_utterance.StreamUtterance(0, whole, opening, channel, lambda *_: None)
    error, other = InvalidRequest("One."), InvalidRequest("Another.")
    assert [utterance.tells(one) for one in (error, error, other)] == [True, False, True]


def test_everything_is_freed_when_a_client_leaves(app: Flask) -> None:
    converse(app, config(), text("hang"), DONE, text("Hello."), DONE)
    limits = context_of(app).limits
    assert limits.running == 0
    assert limits.gate.counts() == (0, 0, 0)
