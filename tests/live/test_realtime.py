"""OpenAI's Realtime API against a live server: its events, in their order, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support import TONE_PLUGINS
from tests.support.json_socket import JsonSocket, Message, audio, opened
from tests.support.live_server import Server
from tests.support.recogniser import SENTENCES, Recogniser, plain, word_error_rate

PATH = "/v1/realtime?model=gpt-realtime-2.1-mini"
TEXT = "Good morning. It is 8:30 now."


@pytest.fixture
def client(tone_server: Server) -> Iterator[JsonSocket]:
    with opened(tone_server, PATH) as client:
        assert client.receive()["type"] == "session.created"
        yield client


def item(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def read_aloud(client: JsonSocket, text: str, **fields: object) -> None:
    response = {"conversation": "none", "input": [item(text)], **fields}
    client.send(type="response.create", response=response)


def is_done(message: Message) -> bool:
    return message["type"] in ("response.done", "error")


def sound(messages: list[Message]) -> bytes:
    return audio([one for one in messages if one["type"].endswith("audio.delta")], "delta")


def transcript(messages: list[Message]) -> str:
    return "".join(one["delta"] for one in messages if one["type"].endswith("transcript.delta"))


def kinds(messages: list[Message]) -> list[str]:
    """Return the types of messages; a run of deltas is one."""
    found: list[str] = []
    for kind in (message["type"] for message in messages):
        if not (kind.endswith(".delta") and kind in found):
            found.append(kind)
    return found


def test_what_is_heard_is_what_was_sent(server: Server) -> None:
    text = SENTENCES[0] + " " + SENTENCES[1]
    with opened(server, PATH) as client:
        read_aloud(client, text, instructions="Read the text aloud, in a calm voice.")
        messages = client.until(is_done)
    data = sound(messages)
    samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    assert word_error_rate([text], [Recogniser().words(samples, 24_000)]) <= 0.2
    assert plain(text) == plain(messages[-1]["response"]["output"][0]["content"][0]["transcript"])


def test_the_events_of_a_response_come_in_openais_order(client: JsonSocket) -> None:
    read_aloud(client, TEXT, metadata={"topic": "time"})
    messages = client.until(is_done)
    assert kinds(messages) == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "rate_limits.updated",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    response = messages[-1]["response"]
    ids = {message["response_id"] for message in messages if "response_id" in message}
    assert ids == {response["id"]}
    assert response["status"] == "completed"
    assert response["metadata"] == {"topic": "time"}
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": TEXT}]
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert len({message["event_id"] for message in messages}) == len(messages)
    assert transcript(messages) == TEXT


@pytest.mark.parametrize(
    ("type_", "bytes_a_second"),
    [("audio/pcm", 48_000), ("audio/pcmu", 8_000), ("audio/pcma", 8_000)],
)
def test_each_format_of_the_session_is_sent(
    client: JsonSocket, type_: str, bytes_a_second: int
) -> None:
    format_ = {"type": type_, "rate": 24_000} if type_ == "audio/pcm" else {"type": type_}
    output = {"format": format_, "voice": {"id": "sine"}, "speed": 1.25}
    client.send(type="session.update", session={"type": "realtime", "audio": {"output": output}})
    session = client.receive()["session"]
    assert session["audio"]["output"] == {**output, "voice": "sine"}
    assert session["type"] == "realtime"
    read_aloud(client, "A tone. ")
    data = sound(client.until(is_done))
    assert len(data) % 2 == 0 or type_ != "audio/pcm"
    # The tone engine makes 0.48 s for each sentence, and has no speed of its own.
    assert len(data) / bytes_a_second == pytest.approx(0.48 / 1.25, abs=0.06)


def test_a_response_may_differ_from_its_session(client: JsonSocket) -> None:
    read_aloud(client, TEXT, audio={"output": {"voice": "sine", "format": {"type": "audio/pcma"}}})
    output = client.until(is_done)[-1]["response"]["audio"]["output"]
    assert output == {"voice": "sine", "format": {"type": "audio/pcma"}}
    read_aloud(client, TEXT)
    assert client.until(is_done)[-1]["response"]["audio"]["output"]["voice"] == "alloy"


def test_parallel_responses_are_told_apart_and_cancelled_alone(client: JsonSocket) -> None:
    read_aloud(client, "hang-late")
    first = client.until(lambda message: message["type"].endswith("audio.delta"))[0]["response"]
    read_aloud(client, TEXT)
    messages = client.until(is_done)
    assert messages[-1]["response"]["status"] == "completed"
    assert messages[-1]["response"]["id"] != first["id"]
    client.send(type="response.cancel", response_id=first["id"])
    cancelled = client.until(is_done)[-1]["response"]
    assert (cancelled["id"], cancelled["status"]) == (first["id"], "cancelled")
    assert cancelled["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert cancelled["output"][0]["status"] == "incomplete"


def test_cancel_without_an_id_ends_all_and_is_an_error_when_there_is_none(
    client: JsonSocket, tone_server: Server
) -> None:
    for _ in range(2):
        read_aloud(client, "hang-late")
        client.until(lambda message: message["type"].endswith("audio.delta"))
    client.send(type="response.cancel")
    for _ in range(2):
        assert client.until(is_done)[-1]["response"]["status"] == "cancelled"
    client.send(type="response.cancel", event_id="mine")
    error = client.receive()["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")
    assert tone_server.ready()["streams"]["running"] == 0


def test_a_failure_is_the_status_of_its_response(client: JsonSocket) -> None:
    read_aloud(client, "fail-late")
    response = client.until(is_done)[-1]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "synthesis_failed"
    read_aloud(client, TEXT)
    assert client.until(is_done)[-1]["response"]["status"] == "completed"


def test_items_of_the_conversation_are_read_once(client: JsonSocket) -> None:
    for text in ("One. ", "Two. "):
        client.send(type="conversation.item.create", item=item(text))
        added, done = client.receive(), client.receive()
        assert added["type"] == "conversation.item.added"
        assert done["item"] == added["item"]
    client.send(type="conversation.item.create", item=item("Not this", "system"))
    client.until(lambda message: message["type"] == "conversation.item.done")
    client.send(type="response.create")
    spoken = client.until(is_done)[-1]["response"]["output"][0]
    assert spoken["content"][0]["transcript"] == "One. \nTwo. "
    client.send(type="conversation.item.retrieve", item_id=spoken["id"])
    assert client.receive()["item"] == spoken
    client.send(type="response.create", response={})
    assert client.receive()["error"]["param"] == "response.input"


def test_truncation_tells_what_was_heard_and_what_was_not(client: JsonSocket) -> None:
    read_aloud(client, "One two three. Four five six. Then hang-late")
    seen: list[Message] = []
    while not transcript(seen).endswith("six. "):
        seen.append(client.receive())
    id_ = next(message["item_id"] for message in seen if "item_id" in message)
    client.send(type="conversation.item.truncate", item_id=id_, content_index=0, audio_end_ms=700)
    messages = client.until(lambda message: message["type"] == "conversation.item.truncated")
    heard, left = messages[-1]["text_spoken"], messages[-1]["text_remaining"]
    assert heard + left == "One two three. Four five six. Then hang-late"
    assert heard.startswith("One two three. ")
    assert left.endswith("hang-late")
    assert [m["response"]["status"] for m in messages if is_done(m)] == ["cancelled"]


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "type"),
        ({"type": 7}, "type"),
        ({"type": "session.update"}, "session"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "type"),
        ({"type": "session.update", "session": {"output_modalities": ["text"]}}, None),
        ({"type": "session.update", "session": {"audio": {"output": {"speed": 2}}}}, "speed"),
        ({"type": "session.update", "session": {"audio": {"output": {"voice": "x"}}}}, "voice"),
        ({"type": "session.update", "session": {"audio": {"output": {"format": "pcm"}}}}, "format"),
        ({"type": "session.update", "session": {"audio": 1}}, "audio"),
        ({"type": "session.update", "session": {"model": "gpt-5"}}, "model"),
        ({"type": "response.create", "response": {"input": "text"}}, "input"),
        ({"type": "response.create", "response": {"input": [item(" ")]}}, "response.input"),
        ({"type": "response.create", "response": {"input": [{"content": 1}]}}, "item"),
        ({"type": "response.create", "response": {"metadata": {"a": 1}}}, None),
        ({"type": "conversation.item.create", "item": []}, "item"),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_id"),
        ({"type": "conversation.item.truncate", "item_id": "x"}, "item_id"),
    ],
)
def test_a_wrong_event_is_an_error_and_the_session_goes_on(
    client: JsonSocket, event: dict[str, object], param: str | None
) -> None:
    client.send(**event)
    error = client.receive()
    assert error["type"] == "error"
    assert error["error"]["message"]
    if param is not None:
        assert error["error"]["param"].split(".")[-1] == param.split(".")[-1]
    read_aloud(client, "Still here.")
    assert client.until(is_done)[-1]["type"] == "response.done"


def test_a_text_beyond_the_limit_is_refused(client: JsonSocket) -> None:
    read_aloud(client, "word " * 1000)
    error = client.receive()["error"]
    assert error["param"] == "input"
    assert error["message"].startswith("The text has 5000 characters; at most 4096 are allowed.")


def test_a_busy_server_fails_the_response(client: JsonSocket) -> None:
    for _ in range(4):
        read_aloud(client, "hang-late")
        client.until(lambda message: message["type"].endswith("audio.delta"))
    read_aloud(client, TEXT)
    error = client.until(is_done)[-1]["response"]["status_details"]["error"]
    assert error["code"] == "overloaded"


def test_an_unknown_model_closes_the_socket(tone_server: Server) -> None:
    with opened(tone_server, "/v1/realtime?model=gpt-5") as client:
        assert client.receive()["error"]["code"] == "model_not_found"
        assert client.closed()[0] == 1008
    with opened(tone_server, "/v1/realtime?model=gpt-4o-mini-realtime-preview") as client:
        assert client.receive()["session"]["model"]


def test_instructions_that_are_too_long_for_a_style_are_refused() -> None:
    settings = {"engine": "tone", "plugins_dir": str(TONE_PLUGINS)}
    with Server(**settings, realtime_instructions="style") as server:
        server.wait_ready()
        with opened(server, PATH) as client:
            read_aloud(client, TEXT, instructions="x" * 5000)
            assert client.until(is_done)[-1]["error"]["param"] == "instructions"
