"""The WebSocket of vLLM-Omni at a live server: texts that come piece by piece, and their audio."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from tests.support import ROOT
from tests.support.live_server import Server
from tests.support.recogniser import SENTENCES, Recogniser, word_error_rate
from tests.support.speech_stream import (
    CLOSE,
    DONE,
    config,
    frames,
    kinds,
    listen,
    of_kind,
    open_stream,
    say,
    text,
)

RATE = 24_000


def test_a_sentence_is_heard_while_the_text_is_written(tone_server: Server) -> None:
    with open_stream(tone_server) as client:
        start = config(model="tone", stream_audio=True, split_granularity="sentence")
        say(client, start, text("Hello there. How "))
        first = listen(client, "audio.done")
        assert kinds(first)[0] == "audio.start"
        assert len(frames(first)) > 1
        say(client, text("are you?"), DONE)
        rest = listen(client)
        assert of_kind(rest, "audio.start")[0]["sentence_text"] == "How are you?"
        assert rest[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 2}


def test_a_socket_has_many_utterances_and_errors_until_it_is_closed(tone_server: Server) -> None:
    with open_stream(tone_server) as client:
        say(client, config(model="tone"))
        for index in range(3):
            client.send(b"binary")
            assert kinds(listen(client, "error")) == ["error"]
            say(client, text("Hello."), DONE)
            assert listen(client)[-1] == {
                "type": "session.done",
                "utterance_index": index,
                "total_sentences": 1,
            }
        say(client, text("fail-late."), DONE, text("The end."), CLOSE)
        failed, last = listen(client), listen(client)
        assert kinds(failed) == ["audio.start", "error", "audio.done", "session.done"]
        assert kinds(last) == ["audio.start", "audio", "audio.done", "session.done"]
        with pytest.raises(ConnectionClosedOK):
            client.recv(timeout=20)
        assert client.close_code == 1000


def test_what_is_no_configuration_ends_the_conversation(tone_server: Server) -> None:
    with open_stream(tone_server) as client:
        say(client, text("Hello."))
        assert "session.config" in json.loads(client.recv(timeout=20))["message"]
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=20)
        assert client.close_code == 1008
    with open_stream(tone_server) as client:  # and others can still speak
        say(client, config(model="tone"), text("Hello."), DONE)
        assert kinds(listen(client))[-1] == "session.done"


def test_a_client_that_leaves_stops_the_work(tone_server: Server) -> None:
    with open_stream(tone_server) as client:
        say(client, config(model="tone", stream_audio=True), text("hang-late"), DONE)
        listen(client, "audio")
        assert tone_server.ready()["streams"]["running"] == 1
    tone_server.wait_for(lambda line: "socket=/v1/audio/speech/stream" in line)
    for _ in range(2000):
        if tone_server.ready()["streams"]["running"] == 0:
            return
    raise AssertionError(tone_server.ready())


def test_the_example_of_the_page_gets_audio(server: Server) -> None:
    page = (ROOT / "docs" / "vllm-omni.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    found: dict[str, Any] = {}
    exec(example.replace("127.0.0.1:7861", f"127.0.0.1:{server.port}"), found)
    assert len(found["audio"]) > 2 * 2 * RATE
    assert json.loads(found["message"]) == {
        "type": "session.done",
        "utterance_index": 0,
        "total_sentences": 3,
    }


@pytest.mark.parametrize(("streams", "granularity"), [(False, "sentence"), (True, "none")])
def test_the_text_is_heard(server: Server, streams: bool, granularity: str) -> None:
    """Words come one by one; each frame is a file unless the audio is streamed."""
    expected = SENTENCES[:4]
    format_ = "pcm" if streams else "wav"
    start = config(
        voice="alloy", response_format=format_, stream_audio=streams, split_granularity=granularity
    )
    with open_stream(server) as client:
        say(client, {**start, "seed": 1})
        for word in " ".join(expected).split():
            say(client, text(word + " "))
        say(client, DONE)
        heard = listen(client)
    starts = of_kind(heard, "audio.start")
    assert {one["sample_rate"] for one in starts} == {RATE}
    assert " ".join(one["sentence_text"] for one in starts) == " ".join(expected)
    assert len(starts) == (1 if granularity == "none" else 4)
    if streams:
        samples = np.frombuffer(b"".join(frames(heard)), "<i2").astype(np.float32) / 32768
    else:
        files = [soundfile.read(io.BytesIO(one), dtype="float32") for one in frames(heard)]
        assert {rate for _, rate in files} == {RATE}
        samples = np.concatenate([content for content, _ in files])
    words = Recogniser().words(samples, RATE)
    assert word_error_rate([" ".join(expected)], [words]) <= 0.1
