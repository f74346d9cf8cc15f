"""A channel: what a client sends becomes messages, and when either side closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import Side

from tests.support.socket_client import Script, closing, encoded, frame, named, protocol
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.web.sockets import channel as module
from voxcpm_openai.web.sockets.channel import GONE_SECONDS, LEAVE_LOOK, PING_SECONDS, Channel

MAX = 10_000
"""Bytes of a message."""
IDLE = 600.0

Step = bytes | float | Callable[[], object]
Open = Callable[..., tuple[Script, Channel]]


def opened(*steps: Step, idle: float = IDLE) -> tuple[Script, Channel]:
    script, server = Script(*steps), protocol(Side.SERVER)
    server.max_message_size = MAX
    return script, Channel(server, script, idle)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Return what opens a channel whose clock is the script's."""

    def open_(*steps: Step, idle: float = IDLE) -> tuple[Script, Channel]:
        script = Script(*steps)
        monkeypatch.setattr(module, "time", script)
        server = protocol(Side.SERVER)
        server.max_message_size = MAX
        return script, Channel(server, script, idle)

    return open_


def heard(channel: Channel, *, busy: bool = False) -> list[str | bytes]:
    return list(channel.messages(lambda: busy))


def pongs(script: Script) -> list[bytes]:
    return [bytes(one.data) for one in script.sent() if one.opcode is Opcode.PONG]


def pings(script: Script) -> int:
    return sum(one.opcode is Opcode.PING for one in script.sent())


ANSWERS: list[Step] = [PING_SECONDS, frame(Opcode.PONG, b"")]
"""What comes from a client that only answers pings."""
MESSAGES = ["Hello.", "Grüße, 你好", b"\x00\xff", "", "x" * 500]
FRAGMENTS = (
    frame(Opcode.TEXT, b"Hel", fin=False)
    + frame(Opcode.PING, b"between")
    + frame(Opcode.CONT, b"", fin=False)
    + frame(Opcode.CONT, b"lo \xc3", fin=False)
    + frame(Opcode.CONT, b"\xbc")
)


@pytest.mark.parametrize(
    ("parts", "messages"),
    [
        ([encoded("Hello.")], ["Hello."]),
        ([encoded(b"\x00\xff")], [b"\x00\xff"]),
        ([encoded(*MESSAGES)], MESSAGES),
        ([bytes([byte]) for byte in encoded(*MESSAGES)], MESSAGES),
        ([FRAGMENTS], ["Hello ü"]),
        ([encoded("last") + closing()], ["last"]),
        ([encoded("x" * MAX)], ["x" * MAX]),
    ],
    ids=["text", "binary", "several", "bytes", "fragments", "before the close", "longest"],
)
def test_messages_come_as_they_were_sent(parts: list[bytes], messages: list[str | bytes]) -> None:
    _, channel = opened(*parts)
    assert heard(channel) == messages


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (frame(Opcode.TEXT, b"a\xc3", fin=False) + frame(Opcode.CONT, b"b"), 1007),
        (encoded("x" * (MAX + 1)), 1009),
        (frame(Opcode.TEXT, b"x" * MAX, fin=False) + frame(Opcode.CONT, b"x"), 1009),
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.TEXT, b"x", fin=False) + encoded("y"), 1002),
        (b"\x81\x01x", 1002),  # not masked
        (b"\xf1\x80\x00\x00\x00\x00", 1002),  # reserved bits
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # no such opcode
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
        (b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002),  # a ping that is too long
        (b"\x09\x80\x00\x00\x00\x00", 1002),  # a ping in pieces
        (b"\x88\x81\x00\x00\x00\x00\x00", 1002),  # half a close code
        (b"\x88\x82\x00\x00\x00\x00\x03\xed", 1002),  # 1005, which nobody may send
        (b"\x88\x83\x00\x00\x00\x00\x03\xe8\xff", 1007),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(4), 1009),  # 2**64 bytes
    ],
    ids=named,
)
def test_what_is_wrong_closes_with_its_code_after_the_messages_before_it(
    data: bytes, code: int
) -> None:
    for parts in ([encoded("good") + data], [encoded("good"), data]):
        script, channel = opened(*parts, encoded("never"))
        assert heard(channel) == ["good"]
        assert channel.code == script.closed_with()[0] == code


def test_the_closing_of_a_client_is_answered_with_its_code() -> None:
    script, channel = opened(closing(1001), encoded("never"))
    assert heard(channel) == []
    assert channel.code == script.closed_with()[0] == 1001


def test_a_client_that_just_leaves_has_the_code_1006() -> None:
    _, channel = opened(encoded("x"), encoded("half")[:-2])
    assert heard(channel) == ["x"]
    assert channel.code == 1006


def test_a_ping_is_answered_with_what_it_has() -> None:
    script, channel = opened(frame(Opcode.PING, b"one"), frame(Opcode.PING, b""))
    assert heard(channel) == []
    assert pongs(script) == [b"one", b""]
    assert script.urgent == 2


def test_fragments_without_content_are_not_kept() -> None:
    empty = frame(Opcode.CONT, b"", fin=False) * 1000
    _, channel = opened(frame(Opcode.TEXT, b"x", fin=False), *[empty] * 50)
    assert heard(channel) == []
    assert len(channel._message) == 1


@given(
    messages=st.lists(st.text() | st.binary(), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    end=st.sampled_from([b"", closing(), frame(Opcode.CONT, b"x"), frame(Opcode.TEXT, b"\xff")]),
)
def test_any_cutting_of_the_bytes_gives_the_same_messages(
    messages: list[str | bytes], cuts: list[int], end: bytes
) -> None:
    data = encoded(*messages) + end
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    parts = [data[a:b] for a, b in pairwise(places)]
    script, channel = opened(*parts)
    assert heard(channel) == messages
    whole, other = opened(*[data] if data else [])
    assert heard(other) == messages
    assert channel.code == other.code
    assert [one.data for one in script.sent()] == [one.data for one in whole.sent()]


def test_a_silent_client_is_pinged_and_one_that_answers_stays(clocked: Open) -> None:
    script, channel = clocked(*ANSWERS * 20, encoded("Hello."))
    assert heard(channel) == ["Hello."]
    assert pings(script) == 20
    assert channel.code == 1006  # it has left; it was not closed before


def test_a_client_that_answers_no_ping_is_closed(clocked: Open) -> None:
    script, channel = clocked(10 * GONE_SECONDS)
    begun = script.now
    assert heard(channel, busy=True) == []
    assert script.now == begun + GONE_SECONDS
    assert script.closed_with() == (1011, "The client does not answer pings.")


def test_pings_come_more_often_than_proxies_give_up(clocked: Open) -> None:
    script, channel = clocked(GONE_SECONDS - 1)
    heard(channel)
    assert pings(script) == (GONE_SECONDS - 1) // PING_SECONDS


def test_a_client_that_still_takes_what_it_was_sent_is_neither_silent_nor_idle(
    clocked: Open,
) -> None:
    """It reads as fast as it plays, and a ping only after the audio before it."""
    script, channel = clocked(5 * IDLE, lambda: setattr(script, "unsent", 0), encoded("next"))
    script.unsent = 1
    assert heard(channel) == ["next"]
    assert pings(script) == 0


@pytest.mark.parametrize("message", ["text", b"binary"], ids=["text", "binary"])
def test_a_client_without_messages_is_closed(clocked: Open, message: str | bytes) -> None:
    script, channel = clocked(*ANSWERS * 29, encoded(message), *ANSWERS * 100)
    begun = script.now + 29 * PING_SECONDS
    assert heard(channel) == [message]
    assert script.now == begun + IDLE
    assert script.closed_with() == (1000, "Nothing was sent for 600 seconds.")


def test_a_client_is_not_idle_while_it_is_spoken_to(clocked: Open) -> None:
    work = [True]
    script, channel = clocked(*ANSWERS * 100, encoded("next"), work.clear, *ANSWERS * 100)
    begun = script.now + 100 * PING_SECONDS
    assert list(channel.messages(lambda: any(work))) == ["next"]
    assert script.now == begun + IDLE
    assert script.closed_with()[0] == 1000


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_that_leaves_closes_what_has_no_work(clocked: Open, busy: bool) -> None:
    work = [1] if busy else []
    script, channel = clocked(1.0, lambda: script.leave(), 5.0, work.clear, 5.0, encoded("never"))
    ends = script.now + (6.0 if busy else 1.0)
    assert list(channel.messages(lambda: any(work))) == []
    assert script.closed_with()[0] == 1001
    assert ends <= script.now <= ends + 2 * LEAVE_LOOK


def test_a_message_that_came_before_the_server_leaves_is_answered(clocked: Open) -> None:
    script, channel = clocked(encoded("Hello."))
    script.leaving = True
    assert heard(channel) == ["Hello."]
    assert channel.code == 1001


def test_closing_from_another_thread_ends_the_reading_at_once() -> None:
    script, channel = opened(lambda: channel.close(1011, "It failed."), encoded("never"))
    assert heard(channel) == []
    assert script.woken == 1
    assert script.closed_with() == (1011, "It failed.")


def test_messages_of_one_read_are_not_handled_once_this_side_has_closed() -> None:
    _, channel = opened(encoded("one", "two", "three"))
    messages: Iterator[Any] = channel.messages(lambda: False)
    assert next(messages) == "one"
    channel.close()
    assert list(messages) == []


def test_sending_after_the_end_tells_that_the_client_has_left() -> None:
    script, channel = opened()
    channel.send("text")
    channel.send(b"binary")
    channel.send_json({"a": "\ud800"})
    assert [bytes(one.data) for one in script.sent()] == [b"text", b"binary", b'{"a":"?"}']
    assert script.urgent == 0
    channel.close(1008, "x")
    channel.close(1000, "again")
    for message in ("text", b"binary"):
        with pytest.raises(ClientLeft):
            channel.send(message)
    assert channel.code == script.closed_with()[0] == 1008


def test_what_comes_after_sending_has_failed_is_not_an_error() -> None:
    """A speaker finds out first that the client has left; its last bytes are still to be read."""

    def fail() -> None:
        script.broken = True
        with pytest.raises(ClientLeft):
            channel.send("audio")

    script, channel = opened(fail, encoded("late"))
    assert heard(channel) == []
    assert channel.code == 1006
    channel.close(1011, "It failed.")
    with pytest.raises(ClientLeft):
        channel.send("audio")


def test_a_reader_whose_client_takes_no_answer_ends() -> None:
    script, channel = opened(frame(Opcode.PING, b""), encoded("late"))
    script.broken = True
    assert heard(channel) == []
    assert channel.code == 1006


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 200, "x" * 123),
        ("ü" * 100, "ü" * 61),
        ("a" + "🎵" * 40, "a" + "🎵" * 30),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_a_reason_is_cut_to_what_a_frame_holds(reason: str, sent: str) -> None:
    script, channel = opened()
    channel.close(1008, reason)
    assert script.closed_with() == (1008, sent)
