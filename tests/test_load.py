"""The load tool, against a small server that plays scripted replies."""

from __future__ import annotations

import io
import itertools
import json
import socket
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from voxcpm_openai.cli.bench import bench
from voxcpm_openai.load import LoadError, LoadPlan, LoadReport, Reply, Spread, run, underruns

SECOND = bytes(2 * 24000)
"""A second of silence as pcm."""


class Script:
    """What the server answers: ``replies`` in turn, then the last one again and again.

    A reply is its status, its body, and the manner: ``chunked``, chunked with ``no end``,
    ``sized``, ``cut short`` of its size, or chunked when ``three together`` have asked.
    """

    def __init__(self, *replies: tuple[int, bytes, str]) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.lock = threading.Lock()
        self.three = threading.Barrier(3)

    def next(self) -> tuple[int, bytes, str]:
        with self.lock:
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.script.asked.append((self.path, dict(self.headers), json.loads(body)))
        status, reply, manner = self.script.next()
        if manner == "three together":
            self.script.three.wait(timeout=10)
        self.send_response(status)
        if manner == "sized":
            self.send_header("Content-Length", str(len(reply)))
        elif manner == "cut short":
            self.send_header("Content-Length", str(len(reply) + 1))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if manner in ("sized", "cut short"):
            self.wfile.write(reply)
        else:
            half = len(reply) // 2
            for part in (reply[:half], reply[half:]):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            if manner != "no end":
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # with 5, the default, some connections would be tried again later


@contextmanager
def _serving(*replies: tuple[int, bytes, str]) -> Iterator[tuple[str, Script]]:
    script = Script(*replies)
    handler = type("Scripted", (Handler,), {"script": script})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", script
        finally:
            server.shutdown()
            thread.join()


GOOD = (200, SECOND, "chunked")


def _envelope(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


def test_each_request_says_what_the_plan_says():
    with _serving(GOOD) as (url, script):
        run(LoadPlan(url, 2, 3, ("one", "two"), "nova", "voxcpm", "pcm", "a key"))
    paths, headers, bodies = zip(*script.asked, strict=True)
    assert set(paths) == {"/v1/audio/speech"}
    assert {sent["Authorization"] for sent in headers} == {"Bearer a key"}
    assert {sent["Connection"] for sent in headers} == {"close"}
    assert bodies[0]["input"] == "one"  # the warm-up
    assert sorted(body.pop("input") for body in bodies) == ["one", "one", "one", "two"]
    expected = {"voice": "nova", "model": "voxcpm", "response_format": "pcm"}
    assert all(body == expected for body in bodies)


def test_the_warm_up_is_apart_and_every_reply_is_told():
    told = []
    with _serving((200, 2 * SECOND, "chunked"), GOOD) as (url, script):
        report = run(LoadPlan(url, streams=3, requests=7), lambda: told.append(1))
    assert len(script.asked) == 8
    assert len(told) == report.requests == 7
    assert report.warm_up.audio == 2.0
    assert report.audio_per_second * report.seconds == pytest.approx(7.0)
    assert report.faults == {}
    assert 0 < report.first_byte.p50 <= report.total.p50 <= report.seconds


def test_a_reply_is_timed_piece_by_piece(monkeypatch):
    ticks = itertools.count()  # each look at the clock is a second after the one before
    monkeypatch.setattr("voxcpm_openai.load.time.perf_counter", lambda: float(next(ticks)))
    with _serving((200, SECOND[:48], "chunked")) as (url, _):  # two pieces of half a millisecond
        reply = run(LoadPlan(url, requests=1)).warm_up
    assert (reply.first_byte, reply.total, reply.longest_gap) == (1.0, 3.0, 1.0)
    assert (reply.audio, reply.underruns) == (0.001, 1)
    assert reply.dry_seconds == pytest.approx(0.9995)


def test_so_many_streams_run_at_once():
    with _serving(GOOD, (200, SECOND, "three together")) as (url, _):
        assert run(LoadPlan(url, streams=3, requests=6)).faults == {}


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("http://h:1", "http://h:1/v1/audio/speech"),
        ("http://h:1/", "http://h:1/v1/audio/speech"),
        ("https://h/v1", "https://h/v1/audio/speech"),
        ("http://h:1/v1/", "http://h:1/v1/audio/speech"),
        ("http://h:1/speech/v1", "http://h:1/speech/v1/audio/speech"),
    ],
)
def test_the_address_may_end_in_v1_or_not(base, path):
    assert LoadPlan(base).endpoint.geturl() == path


@pytest.mark.parametrize(
    "url", ["localhost:7861", "ftp://h", "http://", "http://h:port", "http://h:0", ""]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(LoadError, match="no address"):
        LoadPlan(url)


@pytest.mark.parametrize("few", [{"streams": 0}, {"requests": 0}, {"texts": ()}])
def test_an_empty_plan_is_refused(few):
    with pytest.raises(LoadError, match="At least one"):
        LoadPlan("http://h", **few)


def test_faults_are_counted_by_kind_and_are_in_no_other_figure():
    busy = (503, _envelope("busy"), "sized")
    broken = (200, SECOND, "no end")
    short = (200, SECOND, "cut short")
    silent = (200, b"", "sized")
    with _serving(GOOD, busy, broken, busy, short, silent, GOOD) as (url, _):
        report = run(LoadPlan(url, requests=8))
    assert report.faults == {"503": 2, "truncated": 2, "no sound": 1}
    assert report.audio_per_second * report.seconds == pytest.approx(3.0)


def test_nothing_but_faults_leaves_no_percentiles():
    with _serving(GOOD, (500, b"<h1>Oops</h1>", "sized")) as (url, _):
        report = run(LoadPlan(url, requests=2))
    assert (report.first_byte, report.total, report.rtf) == (None, None, None)
    assert report.faults == {"500": 2}


def test_a_server_that_refuses_the_first_request_is_told_in_its_own_words():
    with (
        _serving((401, _envelope("Incorrect API key."), "sized")) as (url, _),
        pytest.raises(LoadError, match=r"401\. Incorrect API key\.$"),
    ):
        run(LoadPlan(url))


def test_nobody_there_is_told_plainly():
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(LoadError, match=r"no answer\..*refused"):
            run(LoadPlan(f"http://127.0.0.1:{taken.getsockname()[1]}"))


def test_other_formats_are_decoded_to_know_their_length():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 12000))
    with _serving((200, file.getvalue(), "chunked")) as (url, script):
        report = run(LoadPlan(url, requests=1, format="wav"))
    assert report.warm_up.audio == pytest.approx(1.5)
    assert script.asked[0][2]["response_format"] == "wav"


@pytest.mark.parametrize("body", [b"{}", b"1\n00:00:01,000 --> 00:00:02,000\nno sound\n\n"])
def test_a_body_that_is_no_sound_is_a_fault(body):
    with _serving((200, body, "sized")) as (url, _), pytest.raises(LoadError, match="no sound"):
        run(LoadPlan(url, format="mp3"))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], (0, 0.0)),
        ([(5.0, 1.0)], (0, 0.0)),  # the wait for the first piece is no underrun
        ([(5.0, 1.0), (5.5, 1.0), (7.0, 1.0)], (0, 0.0)),  # just in time
        ([(0.0, 1.0), (1.5, 1.0)], (1, 0.5)),
        ([(0.0, 1.0), (1.5, 1.0), (2.25, 1.0)], (1, 0.5)),  # the wait shifts all that follows
        ([(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)], (2, 1.0)),
        ([(0.0, 9.0), (1.0, 0.5), (9.75, 0.5)], (1, 0.25)),  # what lay ready is used first
    ],
)
def test_underruns_are_the_moments_when_the_listener_has_nothing_left(pieces, expected):
    assert underruns(pieces) == expected


def test_percentiles_lie_between_the_values_around_them():
    assert Spread.of(range(101)) == Spread(50.0, 90.0, 99.0)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.9, 1.99)
    assert Spread.of([]) is None


def test_a_report_sums_up_the_good_replies():
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
    assert (report.underruns, report.dry_seconds) == (3, 0.625)
    assert report.audio_per_second == 2.0
    assert report.faults == {"503": 1}


def test_bench_prints_a_row_for_each_level_and_writes_json(tmp_path):
    file = tmp_path / "load.json"
    with _serving(GOOD) as (url, script):
        arguments = [url, "--streams", "1,2", "--requests", "3", "--json", str(file)]
        result = CliRunner().invoke(
            bench, [*arguments, "--text", "Hi."], env={"OPENAI_API_KEY": "k"}
        )
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] for row in rows[1:3]] == [["1", "3"], ["2", "3"]]
    assert len(script.asked) == 8
    assert {body["input"] for *_, body in script.asked} == {"Hi."}
    assert script.asked[0][1]["Authorization"] == "Bearer k"
    levels = json.loads(file.read_text())
    assert [level["streams"] for level in levels] == [1, 2]
    assert levels[0]["warm_up"]["audio"] == 1.0
    assert levels[0]["first_byte"].keys() == {"p50", "p90", "p99"}
    assert "k" not in levels[0]


@pytest.mark.parametrize("levels", ["", "0", "1,x", "-3"])
def test_bench_refuses_levels_that_are_no_numbers_of_streams(levels):
    result = CliRunner().invoke(bench, ["--streams", levels])
    assert result.exit_code == 2
    assert "whole numbers above zero" in result.output


def test_bench_asks_more_often_than_it_has_streams():
    with _serving(GOOD) as (url, script):
        assert CliRunner().invoke(bench, [url, "--streams", "1,10"]).exit_code == 0
    assert len(script.asked) == 1 + 16 + 1 + 20
