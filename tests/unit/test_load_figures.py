"""Figures of the load test: arrival times, audio, underruns, percentiles, the report."""

from __future__ import annotations

import io
import wave

import pytest

from voxcpm_openai.load_client import HTTPReply, parse
from voxcpm_openai.load_test import LoadPlan, LoadReport, Percentiles, Reply, measure, underruns

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"960\r\n" + bytes(2400) + b"\r\n"
"""A twentieth of a second of pcm."""
END = b"0\r\n\r\n"


def test_each_chunk_counts_when_its_last_byte_arrives() -> None:
    reply = parse([(1.0, HEAD + CHUNK), (1.5, CHUNK[:7]), (2.0, CHUNK[7:] + CHUNK), (3.0, END)])
    assert reply.fault is None
    assert [at for at, _ in reply.chunks] == [1.0, 1.5, 2.0, 2.0]
    assert sum(len(chunk) for _, chunk in reply.chunks) == 3 * 2400
    figures = measure(reply, "pcm")
    assert (figures.first_byte, figures.total, figures.longest_gap) == (1.0, 2.0, 0.5)
    assert (figures.audio, figures.underruns) == (pytest.approx(0.15), 2)
    assert figures.underrun_seconds == pytest.approx(0.45 + (0.5 - 2 / 48000))
    assert figures.rest_rtf == pytest.approx(1.0 / 0.1)


@pytest.mark.parametrize(
    ("arrivals", "fault"),
    [
        ([], "no answer"),
        ([(1.0, b"SSH-2.0")], "no answer"),
        ([(1.0, HEAD + CHUNK)], "truncated"),
        ([(1.0, HEAD + CHUNK[:-9])], "truncated"),
        ([(1.0, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), (2.0, b"12")], None),
        ([(1.0, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12")], "truncated"),
        ([(1.0, b"HTTP/1.0 200 OK\r\n\r\n12"), (2.0, b"3")], None),  # until the connection closes
    ],
)
def test_an_incomplete_reply_is_a_fault(arrivals: list[tuple[float, bytes]], fault: str) -> None:
    assert parse(arrivals).fault == fault


@pytest.mark.parametrize("cut", [44, 20, 44 + 960], ids=["alone", "in two", "with audio"])
def test_the_header_of_a_wav_file_is_not_counted_as_audio(cut: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 24000, 0, "NONE", ""))
        sound.writeframes(bytes(4800))
    body = file.getvalue()
    reply = measure(HTTPReply(None, "", [(0.1, body[:cut]), (0.2, body[cut:])]), "wav")
    assert reply.first_byte == (0.1 if cut > 44 else 0.2)
    assert reply.audio == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], (0, 0.0)),
        ([(5.0, 1.0)], (0, 0.0)),  # the wait for the first chunk is not an underrun
        ([(5.0, 1.0), (5.5, 1.0), (7.0, 1.0)], (0, 0.0)),  # just in time
        ([(0.0, 1.0), (1.5, 1.0)], (1, 0.5)),
        ([(0.0, 1.0), (1.5, 1.0), (2.25, 1.0)], (1, 0.5)),  # an underrun delays all later chunks
        ([(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)], (2, 1.0)),
        ([(0.0, 9.0), (1.0, 0.5), (9.75, 0.5)], (1, 0.25)),  # buffered audio is played first
    ],
)
def test_an_underrun_is_a_gap_in_which_the_listener_has_no_audio_left(chunks, expected):
    assert underruns(chunks) == expected


def test_percentiles_are_interpolated():
    assert Percentiles.of(range(101)) == Percentiles(50.0, 90.0, 99.0)
    assert Percentiles.of([1.0, 2.0]) == Percentiles(1.5, 1.9, 1.99)
    assert Percentiles.of([]) is None


def test_a_report_aggregates_the_successful_replies():
    replies = [
        Reply(None, "", 0.25, 1.0, 4.0, 0.5, 1, 0.125),
        Reply(None, "", 0.75, 3.0, 4.0, 0.75, 2, 0.5),
        Reply("503", "busy"),
    ]
    report = LoadReport.of(LoadPlan("http://h", streams=2), Reply(), replies, seconds=4.0)
    assert (report.streams, report.requests) == (2, 3)
    assert report.first_byte.p50 == 0.5
    assert report.total.p50 == 2.0
    assert report.rtf.p50 == 0.5
    assert report.longest_gap == 0.75
    assert (report.underruns, report.underrun_seconds) == (3, 0.625)
    assert report.audio_per_second == 2.0
    assert report.faults == {"503": 1}
