"""What ``/v1/audio/speech/stream`` sends: sentences, utterances and errors, without a server."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import soundfile
from flask import Flask

from tests.support.speech_stream import (
    CLOSE,
    DONE,
    config,
    converse,
    frames,
    heard,
    kinds,
    of_kind,
    text,
)
from voxcpm_openai.audio import duration

THREE = "Hello there. How are you? I am fine."
SENTENCES = ["Hello there.", "How are you?", "I am fine."]
SPEECH = 3 * 3840 * 2
"""Bytes of a sentence of the tone engine."""


def test_an_utterance_is_one_sentence_and_one_file_by_default(app: Flask) -> None:
    start = {"type": "session.config", "model": "tone"}
    sent, _ = converse(
        app, start, text("Hello there. How "), text("are you?"), DONE, heard("session.done")
    )
    assert kinds(sent) == ["audio.start", "audio", "audio.done", "session.done"]
    names = {"utterance_index": 0, "sentence_index": 0}
    about = {"sentence_text": "Hello there. How are you?", "format": "wav", "channels": 1}
    assert sent[0] == {"type": "audio.start", **names, **about, "sample_rate": 24_000}
    (wav,) = frames(sent)
    assert sent[2] == {"type": "audio.done", **names, "total_bytes": len(wav), "error": False}
    assert sent[3] == {"type": "session.done", "utterance_index": 0, "total_sentences": 1}
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert rate == 24_000
    assert 2 * len(samples) > 2 * SPEECH  # and the pause


@pytest.mark.parametrize("granularity", ["sentence", "clause"])
@pytest.mark.parametrize("format_", ["wav", "mp3", "flac", "opus"])
def test_each_sentence_is_a_file(app: Flask, granularity: str, format_: str) -> None:
    start = config(response_format=format_, split_granularity=granularity)
    sent, _ = converse(app, start, text(THREE), DONE, heard("session.done"))
    assert kinds(sent) == ["audio.start", "audio", "audio.done"] * 3 + ["session.done"]
    starts = of_kind(sent, "audio.start")
    assert [one["sentence_text"] for one in starts] == SENTENCES
    assert [one["sentence_index"] for one in starts] == [0, 1, 2]
    assert {one["format"] for one in starts} == {format_}
    assert all(duration(frame) > 0.4 for frame in frames(sent))
    sizes = [one["total_bytes"] for one in of_kind(sent, "audio.done")]
    assert sizes == list(map(len, frames(sent)))


def test_streamed_audio_comes_between_start_and_done_of_its_sentence(app: Flask) -> None:
    start = config(stream_audio=True, split_granularity="sentence")
    sent, _ = converse(app, start, text(THREE), DONE, heard("session.done"))
    size, sizes = 0, []
    for message in sent:
        if isinstance(message, bytes):
            size += len(message)
        elif message["type"] == "audio.done":
            assert message["total_bytes"] == size
            sizes.append(size)
            size = 0
    assert (len(sizes), size) == (3, 0)
    assert len(frames(sent)) > 6
    assert sizes[-1] == SPEECH  # there is no pause after the last one
    whole, _ = converse(
        app, start | {"stream_audio": False}, text(THREE), DONE, heard("session.done")
    )
    assert b"".join(frames(whole)) == b"".join(frames(sent))


def test_a_sentence_is_done_before_the_next_text_comes(app: Flask) -> None:
    for streams in (True, False):
        start = config(stream_audio=streams, split_granularity="sentence")
        first = text("Hello there. How ")
        sent, _ = converse(app, start, first, heard("audio.done"), text("are you?"), DONE)
        assert kinds(sent)[-1] == "audio.done"


@pytest.mark.parametrize("format_", ["wav", "mp3", "opus"])
def test_streamed_frames_of_a_format_with_headers_are_one_stream(app: Flask, format_: str) -> None:
    start = config(response_format=format_, stream_audio=True, split_granularity="sentence")
    sent, _ = converse(app, start, text(THREE), DONE, heard("session.done"))
    assert kinds(sent).count("audio.start") == kinds(sent).count("audio.done") == 3
    assert kinds(sent)[-2:] == ["audio.done", "session.done"]
    assert duration(b"".join(frames(sent))) > 3 * 0.48
    assert sum(one["total_bytes"] for one in of_kind(sent, "audio.done")) == len(
        b"".join(frames(sent))
    )


def test_nothing_is_lost_at_another_sample_rate(app: Flask) -> None:
    start = config(sample_rate=16_000, split_granularity="sentence")
    sent, _ = converse(app, start, text("Hello there."), DONE, heard("session.done"))
    assert {one["sample_rate"] for one in of_kind(sent, "audio.start")} == {16_000}
    assert abs(len(b"".join(frames(sent))) - SPEECH * 16 / 24) <= 4


def test_a_file_has_the_speed_once(app: Flask) -> None:
    script = (text("Hello there."), DONE, heard("session.done"))
    streamed, _ = converse(app, config(speed=2.0, stream_audio=True), *script)
    (wav,) = frames(converse(app, config(speed=2.0, response_format="wav"), *script)[0])
    assert wav[44:] == b"".join(frames(streamed))
    assert len(wav) < SPEECH * 0.6


def test_with_word_timestamps_audio_is_json_without_times(app: Flask) -> None:
    start = config(word_timestamps=True, stream_audio=True, split_granularity="sentence")
    sent, _ = converse(app, start, text(THREE), DONE, heard("session.done"))
    assert frames(sent) == []
    chunks = of_kind(sent, "audio.chunk")
    by_sentence = [[one for one in chunks if one["sentence_index"] == k] for k in range(3)]
    assert [[one["chunk_id"] for one in part] for part in by_sentence] == [
        list(range(len(part))) for part in by_sentence
    ]
    for part, done in zip(by_sentence, of_kind(sent, "audio.done"), strict=True):
        assert {one["timestamps"] for one in part} == {None}
        audio = b"".join(base64.b64decode(one["audio_b64"]) for one in part)
        assert done["total_bytes"] == len(audio)
        times = [(one["chunk_start_ms"], one["chunk_end_ms"]) for one in part]
        assert times[0][0] == 0
        assert [end for _, end in times[:-1]] == [begin for begin, _ in times[1:]]
        assert abs(times[-1][1] - len(audio) / 48) <= 1


def test_utterances_come_one_after_another(app: Flask) -> None:
    start = config(stream_audio=True, split_granularity="sentence")
    utterances = [part for one in SENTENCES for part in (text(one), DONE)]
    sent, _ = converse(app, start, *utterances, heard("session.done", 3))
    named = [one for one in sent if isinstance(one, dict)]
    assert [one["utterance_index"] for one in named] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [one["sentence_text"] for one in of_kind(sent, "audio.start")] == SENTENCES
    assert [one["total_sentences"] for one in of_kind(sent, "session.done")] == [1, 1, 1]


def test_a_configuration_holds_until_the_next_one(app: Flask) -> None:
    spoken = (text("Hello there."), DONE)
    again = config(response_format="flac")
    in_between = (text("Hello "), again, text("there."), DONE)
    sent, _ = converse(
        app, config(), *spoken, *spoken, again, *spoken, *in_between, heard("session.done", 4)
    )
    formats = [one["format"] for one in of_kind(sent, "audio.start")]
    assert formats == ["pcm", "pcm", "flac", "flac"]
    (error,) = of_kind(sent, "error")
    assert "'input.done'" in error["message"]


def test_clients_of_sglang_send_the_configuration_as_an_object(app: Flask) -> None:
    fields = {"response_format": "mp3", "speaker": "alloy", "model": None}
    start = {"type": "session.config", "session": fields}
    sent, _ = converse(app, start, text("Hello."), DONE, heard("session.done"))
    told = {"response_format": "mp3", "stream_audio": False, "split_granularity": "none"}
    assert sent[0] == {"type": "session.configured", **told}
    wrong = {"type": "session.config", "session": {"speaker": "nobody"}}
    assert "nobody" in of_kind(converse(app, wrong)[0], "error")[0]["message"]


@pytest.mark.parametrize("nothing", [[], [text("")], [text(" \n")]])
def test_an_empty_utterance_has_no_sentence(app: Flask, nothing: list[dict[str, Any]]) -> None:
    sent, _ = converse(
        app, config(), *nothing, DONE, text("Hello."), DONE, heard("session.done", 2)
    )
    assert sent[0] == {"type": "session.done", "utterance_index": 0, "total_sentences": 0}
    assert sent[-1] == {"type": "session.done", "utterance_index": 1, "total_sentences": 1}


def test_closing_waits_until_everything_was_sent(app: Flask) -> None:
    start = config(split_granularity="sentence")
    unfinished = (text("Hello there."), DONE, text("How are you?"), CLOSE, text("No."))
    sent, code = converse(app, start, *unfinished, lambda _: False)
    assert code == 1000
    done = ["audio.start", "audio", "audio.done", "session.done"]
    assert [kind for kind in kinds(sent) if kind != "error"] == done * 2
    assert converse(app, start, CLOSE) == ([], 1000)
