"""ElevenLabs' WebSockets against a live server: the messages of its clients, and what they read."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from tests.support.json_socket import JsonSocket, Message, audio, opened
from tests.support.live_server import Server
from tests.support.recogniser import Recogniser, plain, word_error_rate

SINGLE = "/v1/text-to-speech/alloy/stream-input"
MULTI = "/v1/text-to-speech/alloy/multi-stream-input"
TEXT = "Good morning, everybody. The train is late again. We are going to wait for it. "


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


def words(text: str) -> list[str]:
    return [word + " " for word in text.split()]


def begin(client: JsonSocket, **context: str) -> None:
    client.send(text=" ", voice_settings={"stability": 0.5, "speed": 1.0}, **context)


def is_final(message: Message) -> bool:
    return message.get("isFinal") is True


def of(id_: str, messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message["contextId"] == id_]


def characters(messages: Iterable[Message]) -> str:
    return "".join(
        "".join((message.get("alignment") or {}).get("chars", "")) for message in messages
    )


def test_words_one_by_one_are_heard_and_the_server_closes(
    server: Server, recogniser: Recogniser
) -> None:
    with opened(server, f"{SINGLE}?output_format=pcm_16000") as client:
        begin(client)
        for word in words(TEXT):
            client.send(text=word, try_trigger_generation=True)
        client.send(text="")
        messages = client.rest()
        assert client.closed() == (1000, "")
    assert messages[-1] == {"isFinal": True}
    data = audio(messages, "audio")
    heard = recogniser.words(np.frombuffer(data, "<i2").astype(np.float32) / 32768, 16_000)
    assert word_error_rate([plain(TEXT)], [heard]) <= 0.15
    assert characters(messages) == TEXT


def test_the_alignment_spans_the_audio_of_each_message(tone_server: Server) -> None:
    with opened(tone_server, f"{SINGLE}?output_format=pcm_24000") as client:
        begin(client)
        client.send(text=TEXT)
        client.send(text="")
        messages = client.rest()[:-1]
    for message in messages:
        times = message["alignment"]
        assert (
            len(times["chars"]) == len(times["charStartTimesMs"]) == len(times["charDurationsMs"])
        )
        milliseconds = len(audio([message], "audio")) / 48
        end = times["charStartTimesMs"][-1] + times["charDurationsMs"][-1]
        assert end == pytest.approx(milliseconds, abs=1)
        assert times["charStartTimesMs"][0] == 0
        assert message["normalizedAlignment"] == times


def test_synchronous_alignment_counts_from_the_beginning(tone_server: Server) -> None:
    with opened(tone_server, f"{MULTI}?output_format=pcm_24000&sync_alignment=true") as client:
        begin(client, context_id="a")
        client.send(text=TEXT, context_id="a")
        client.send(context_id="a", close_context=True)
        messages = client.until(is_final)[:-1]
    told = [message["alignment"] for message in messages if message["alignment"]]
    assert "".join(character for times in told for character in times["chars"]) == TEXT
    assert all(character for times in told for character in times["chars"])
    starts = [start for times in told for start in times["charStartTimesMs"]]
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(len(audio(messages, "audio")) / 48, rel=0.2)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["The first one.", "The second."], "The first one. The second."),
        (["The first one. ", "The second. "], "The first one. The second. "),
        (["The first one.", " The second."], "The first one. The second."),
        (["这是第一句。", "这是第二句。"], "这是第一句。这是第二句。"),
    ],
)
def test_sentences_are_told_apart(server: Server, texts: list[str], told: str) -> None:
    with opened(server, f"{MULTI}?output_format=pcm_24000&auto_mode=true") as client:
        for text in texts:
            client.send(text=text, context_id="a")
        client.send(context_id="a", close_context=True)
        assert characters(client.until(is_final)) == told


def test_two_contexts_are_spoken_side_by_side(tone_server: Server) -> None:
    with opened(tone_server, f"{MULTI}?output_format=pcm_24000") as client:
        for id_, text in (("a", "The first one. "), ("b", "The second one. ")):
            begin(client, context_id=id_)
            client.send(text=text, context_id=id_)
            client.send(context_id=id_, flush=True)
        for id_ in ("a", "b"):
            client.send(context_id=id_, close_context=True)
        messages = client.until(is_final)
        messages += client.until(is_final)
        client.send(close_socket=True)
        assert client.closed() == (1000, "")
    assert {message["contextId"] for message in messages} == {"a", "b"}
    assert characters(of("a", messages)) == "The first one. "
    assert characters(of("b", messages)) == "The second one. "


@pytest.mark.parametrize("text", ["", " ", "\U0001f600"], ids=["empty", "blank", "emoji"])
def test_a_context_with_nothing_to_say_ends(tone_server: Server, text: str) -> None:
    with opened(tone_server, MULTI) as client:
        begin(client, context_id="a")
        client.send(text=text, context_id="a", flush=True)
        client.send(context_id="a", close_context=True)
        assert client.receive() == {"isFinal": True, "contextId": "a"}


def test_keep_alives_and_unknown_contexts_are_not_answered(tone_server: Server) -> None:
    with opened(tone_server, MULTI) as client:
        client.send(text="")
        client.send(text="", context_id="nobody")
        client.send(context_id="nobody", close_context=True)
        begin(client, context_id="a")
        client.send(text="", context_id="a")
        client.send(context_id="a", close_context=True)
        client.send(text="", context_id="a")
        client.send(context_id="a", flush=True)
        client.send(close_socket=True)
        assert client.rest() == [{"isFinal": True, "contextId": "a"}]


def test_closing_a_context_twice_stops_it_at_once(tone_server: Server) -> None:
    with opened(tone_server, MULTI) as client:
        begin(client, context_id="a")
        client.send(text="hang ", context_id="a", flush=True)
        client.send(context_id="a", close_context=True)
        begin(client, context_id="b")
        client.send(text="The next turn. ", context_id="b")
        client.send(context_id="b", close_context=True)
        messages = client.until(is_final)  # the first context hangs in the engine
        assert {message["contextId"] for message in messages} == {"b"}
        client.send(context_id="a", close_context=True)
        assert client.until(is_final)[-1] == {"isFinal": True, "contextId": "a"}
    assert tone_server.ready()["streams"]["running"] == 0


def test_phrases_are_said_at_once_in_auto_mode(tone_server: Server) -> None:
    """Nothing follows, no flush comes, and yet it is said."""
    with opened(tone_server, f"{MULTI}?auto_mode=true&output_format=pcm_24000") as client:
        begin(client, context_id="a")
        client.send(text="Hello.", context_id="a")
        messages = client.until(lambda message: characters([message]).endswith("."))
        client.send(text="And again.", context_id="a")
        client.send(context_id="a", close_context=True)
        messages += client.until(is_final)
    assert characters(messages) == "Hello. And again."


def test_a_number_in_pieces_is_not_cut_in_auto_mode(tone_server: Server) -> None:
    with opened(tone_server, f"{MULTI}?auto_mode=true&output_format=pcm_24000") as client:
        begin(client, context_id="a")
        for piece in ("Pi is ", "3.", "14"):
            client.send(text=piece, context_id="a")
        client.send(text="", context_id="a", flush=True)
        client.send(context_id="a", close_context=True)
        messages = client.until(is_final)
    assert characters(messages) == "Pi is 3.14"


def test_the_speed_of_a_context_is_its_own(tone_server: Server) -> None:
    def length(client: JsonSocket, id_: str, speed: float) -> int:
        client.send(text=" ", context_id=id_, voice_settings={"speed": speed})
        client.send(text=TEXT, context_id=id_)
        client.send(context_id=id_, close_context=True)
        return len(audio(client.until(is_final), "audio"))

    with opened(tone_server, f"{MULTI}?output_format=pcm_24000") as client:
        assert length(client, "a", 2.0) == pytest.approx(length(client, "b", 1.0) / 2, rel=0.1)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/text-to-speech/nobody/stream-input", "'nobody' does not exist"),
        (f"{SINGLE}?output_format=mp3_1", "'mp3_1' is not an output_format"),
        (f"{SINGLE}?inactivity_timeout=0", "from 1 to 180"),
        (f"{MULTI}?language_code=1", "language"),
        (f"{MULTI}?seed=x", "'seed' must be"),
    ],
)
def test_a_wrong_url_is_told_and_closed(tone_server: Server, path: str, reason: str) -> None:
    with opened(tone_server, path) as client:
        message = client.receive()
        assert reason in message["message"]
        assert message["code"] == 1008
        code, why = client.closed()
    assert code == 1008
    assert why.startswith(message["message"][:40])


def test_an_error_of_one_context_leaves_the_others(tone_server: Server) -> None:
    with opened(tone_server, MULTI) as client:
        begin(client, context_id="a")
        client.send(text="x", context_id="b", flush="yes")
        client.send(text="fail-late ", context_id="c", flush=True)
        errors = client.until(is_final) + client.until(is_final)
        client.send(text="Still here. ", context_id="a")
        client.send(context_id="a", close_context=True)
        said = client.until(is_final)
    assert "'flush' must be true or false." in [message.get("error") for message in of("b", errors)]
    assert any("error" in message for message in of("c", errors))
    assert characters(of("a", said)) == "Still here. "


@pytest.mark.parametrize(
    ("path", "data"),
    [(SINGLE, '{"text": 1}'), *((path, d) for path in (SINGLE, MULTI) for d in ("{", "[]", b"0"))],
)
def test_messages_that_cannot_be_read_close_the_socket(
    tone_server: Server, path: str, data: str | bytes
) -> None:
    with opened(tone_server, path) as client:
        client.connection.send(data)
        assert client.receive()["code"] == 1008
        assert client.closed()[0] == 1008


def test_an_error_in_the_middle_of_a_single_text_is_told_and_closed(tone_server: Server) -> None:
    with opened(tone_server, SINGLE) as client:
        begin(client)
        client.send(text="fail-late ", flush=True)
        messages = client.rest()
        assert client.closed()[0] == 1008
    assert messages[-1]["error"] == "synthesis_failed"


def test_a_socket_without_messages_is_closed(tone_server: Server) -> None:
    with opened(tone_server, f"{SINGLE}?inactivity_timeout=1") as client:
        assert client.closed() == (1000, "Nothing was sent for 1 seconds.")


def test_text_that_comes_faster_than_it_is_spoken_waits_for_room(server: Server) -> None:
    """Three messages, each almost as long as the text that may wait."""
    text = TEXT * 45
    with opened(server, f"{SINGLE}?output_format=ulaw_8000") as client:
        begin(client)
        for _ in range(3):
            client.send(text=text)
        client.send(text="")
        messages = client.rest()
        assert client.closed() == (1000, "")
    assert characters(messages) == text * 3


def test_large_audio_comes_in_messages_below_a_mebibyte(tone_server: Server) -> None:
    with opened(tone_server, f"{SINGLE}?output_format=wav_48000") as client:
        begin(client)
        client.send(text=TEXT * 20)
        client.send(text="")
        messages = client.rest()
    assert max(len(json.dumps(message)) for message in messages) < 1_000_000
    assert characters(messages) == TEXT * 20
