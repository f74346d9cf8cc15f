"""The benchmark's crowd over HTTP: what it notes, and the real server under it."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.on_gpu import served
from benchmarks.on_gpu.bench import TINY, TRUE, Bench

SOUND = b"\x01\x00" * 2400
"""A tenth of a second at 24 kHz."""


def test_one_client_comes_in_no_crowd_and_wav_is_measured_at_the_ends(tmp_path: Path) -> None:
    labels = [task.label for task in served.tasks(Bench("cpu", TRUE, tmp_path))]
    assert labels[:10] == [
        "2, 1 streams, burst, pcm",
        "2, 1 streams, burst, wav",
        "2, 8 streams, burst, pcm",
        "2, 8 streams, poisson, pcm",
        "2, 64 streams, burst, pcm",
        "2, 64 streams, burst, wav",
        "2, 64 streams, poisson, pcm",
        "2, 256 streams, burst, pcm",
        "2, 256 streams, poisson, pcm",
        "1.5, 1 streams, burst, pcm",
    ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench("cpu", replace(TINY, repeats=1, span=0.0), tmp_path)
    yield bench
    bench.dismiss()


class Speaker(BaseHTTPRequestHandler):
    """Sends a tenth of a second twice; ``fault``: what goes wrong."""

    fault = ""
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.fault == "refused":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (SOUND, SOUND):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if self.fault != "broken":
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    monkeypatch.setattr(Speaker, "fault", getattr(request, "param", ""))
    with ThreadingHTTPServer(("127.0.0.1", 0), Speaker) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_real_server_is_heard(bench: Bench) -> None:
    rows = [served.measure(bench, "1.5", 2, "burst", format) for format in ("pcm", "wav")]
    for row in rows:
        assert (row.requests, row.faults, row.bar_ms) == (2, 0, None)
        assert row.first_p50_ms is not None
        assert row.first_p99_ms is not None
        assert 0 < row.first_p50_ms <= row.first_p99_ms
        assert row.rtf is not None
        assert row.rest_rtf is not None
        assert min(row.rtf, row.rest_rtf, row.audio_per_second) > 0


def test_a_server_that_does_not_start_is_told(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "folder", lambda _: tmp_path / "nothing here")
    with pytest.raises(RuntimeError, match="did not start"):
        served.Served(bench, "1.5")


def test_all_who_come_are_heard(speaker: str) -> None:
    replies = served.crowd(speaker, "pcm", [0.0, 0.0, 0.0])
    assert [reply and reply.seconds for reply in replies] == [pytest.approx(0.2)] * 3


@pytest.mark.parametrize("speaker", ["refused", "broken"], indirect=True)
def test_a_reply_that_is_not_whole_is_a_fault(speaker: str) -> None:
    assert served.ask(speaker, "pcm", 0) is None


def test_a_server_that_speaks_to_nobody_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        url = "http://127.0.0.1:1"

        def close(self) -> None:
            pass

    monkeypatch.setattr(served, "Served", lambda *_: Silent())
    with pytest.raises(RuntimeError, match="does not speak"):
        served.measure(bench, "1.5", 1, "burst", "pcm")


def test_pieces_are_weighed_by_what_they_play() -> None:
    reply = served.weigh([(0.1, SOUND), (0.15, SOUND), (0.5, SOUND)], "pcm")
    assert reply is not None
    assert [seconds for _, seconds in reply.pieces] == [0.1] * 3
    assert (reply.first, reply.last, reply.seconds) == (0.1, 0.5, pytest.approx(0.3))
    assert reply.gap == pytest.approx(0.35)
    assert reply.rest_rtf == pytest.approx(0.4 / 0.2)


@pytest.mark.parametrize("cut", [44, 20, 44 + 960], ids=["alone", "in two", "with sound"])
def test_a_header_is_no_sound(cut: int) -> None:
    unknown = 2**32 - 1
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1, 48000,
                         96000, 2, 16) + struct.pack("<4sI", b"data", unknown)  # fmt: skip
    body = header + b"\x01\x00" * 4800
    reply = served.weigh([(0.1, body[:cut]), (0.2, body[cut:])], "wav")
    assert reply is not None
    assert reply.first == (0.1 if cut > 44 else 0.2)
    assert reply.seconds == pytest.approx(0.1)


def test_no_sound_is_no_reply() -> None:
    assert served.weigh([], "pcm") is None


def test_packages_that_are_not_here_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "NEEDED", ("json", "no_such_package"))
    assert served.missing(bench) == ["no_such_package"]
