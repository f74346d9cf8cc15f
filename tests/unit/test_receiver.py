"""Where a request ends in the bytes of a client, however they are cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxcpm_openai.server.outbox import MEMORY, Outbox
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.server.spool_space import SpoolSpace

LIMIT = 100
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)
PLAIN_CHUNKED = b"PUT / HTTP/1.1\r\nTRANSFER-ENCODING : Chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n"
REQUESTS = [GET, SIZED, CHUNKED, PLAIN_CHUNKED, b"POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n"]


_open: list[Receiver | Outbox] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def receiver() -> Receiver:
    made = Receiver(500, LIMIT, SpoolSpace())
    _open.append(made)
    return made


def outbox() -> Outbox:
    made = Outbox(SpoolSpace())
    _open.append(made)
    return made


def content(receiver: Receiver) -> bytes:
    """Return all bytes of a whole request, as the parser reads them."""
    return b"".join(iter(lambda: receiver.read(7), b""))


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_whole_with_its_last_byte(request_: bytes) -> None:
    one = receiver()
    for byte in request_[:-1]:
        one.feed(bytes([byte]))
        assert not one.whole
    one.feed(request_[-1:])
    assert one.whole
    assert content(one) == request_
    assert one.extra == b""


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.data())
def test_requests_one_after_the_other_are_told_apart_however_they_are_cut(
    requests: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(requests)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    parts = [stream[start:end] for start, end in itertools.pairwise(places)]
    found, one = [], receiver()
    for part in parts:
        rest = part
        while rest or one.whole:
            one.feed(rest)
            rest = b""
            if one.whole:
                found.append(content(one))
                rest, one = one.extra, receiver()
    assert found == requests
    assert not one.started


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 9000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\n" + b"x" * 101,
        b"POST / HTTP/1.1\r\nX: " + b"x" * 600,
    ],
    ids=[
        "two lengths",
        "no number",
        "negative",
        "too long",
        "no size",
        "endless size",
        "too much",
        "head",
    ],
)
def test_what_must_be_refused_is_handed_on_at_once(request_: bytes) -> None:
    one = receiver()
    one.feed(request_)
    assert one.whole
    assert content(one).startswith(request_[:40])


def test_line_breaks_before_a_request_are_skipped() -> None:
    one = receiver()
    one.feed(b"\r\n\r\n" + GET)
    assert content(one) == GET


def test_a_client_waits_for_continue_only_before_a_body_that_is_wanted() -> None:
    for length, expects in ((5, True), (LIMIT + 1, False)):
        one = receiver()
        one.feed(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % length)
        assert one.expects_continue is expects


@given(st.binary(max_size=400))
def test_any_bytes_are_received_without_an_error(data: bytes) -> None:
    one = receiver()
    for byte in data:
        if not one.whole:
            one.feed(bytes([byte]))
    assert one.started or not data.strip(b"\r\n")


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=20), st.integers(0, 30)), max_size=30))
def test_an_outbox_gives_what_was_put_in_order(steps: list[bytes | int]) -> None:
    box, wanted, given_ = outbox(), b"", b""
    for step in steps:
        if isinstance(step, bytes):
            box.put(step)
            wanted += step
        else:
            part = box.peek()[:step]
            box.drop(len(part))
            given_ += part
        assert len(box) == len(wanted) - len(given_)
    while len(box):
        part = box.peek()
        box.drop(len(part))
        given_ += part
    assert given_ == wanted


def test_an_outbox_larger_than_its_memory_is_whole() -> None:
    box, data = outbox(), bytes(range(256)) * (3 * MEMORY // 256)
    box.put(data)
    taken = b""
    while len(box):
        taken += (part := box.peek())
        box.drop(len(part))
    assert taken == data


def test_a_worker_keeps_no_more_than_its_space_of_requests_and_responses() -> None:
    space = SpoolSpace(10)
    box, one = Outbox(space), Receiver(500, LIMIT, space)
    _open.extend([box, one])
    one.feed(b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n123456")
    box.put(b"1234")
    with pytest.raises(OSError, match="used up"):
        box.put(b"5")
    with pytest.raises(OSError, match="used up"):
        one.feed(b"7")
    box.drop(4)
    one.feed(b"7890")
    one.close()
    box.put(b"0123456789")


CHUNKS = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "line",
    [b'5;a="\x00"', b"5;", b"5;a=", b'5;a="x', b"5;a b", b"5 ", b" 5", b"5\n", b"5;a\rb", b"0x5"],
)
def test_a_line_of_a_chunk_that_the_parser_refuses_ends_the_request(line: bytes) -> None:
    one = receiver()
    one.feed(CHUNKS + line + b"\r\n")
    assert one.whole


@pytest.mark.parametrize(
    "line", [b"5", b"05", b"5;a", b"5 ; a = b;c", b'5;a="x;\\" y";b=!#', b'5;a=""', b'5;a="\xe9"']
)
def test_a_line_of_a_chunk_that_is_valid_does_not(line: bytes) -> None:
    one = receiver()
    one.feed(CHUNKS + line + b"\r\nhello\r\n0\r\n")
    assert not one.whole
    one.feed(b"\r\n")
    assert one.whole
