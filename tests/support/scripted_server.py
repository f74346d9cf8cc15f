"""A small speech server with scripted replies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECOND = bytes(2 * 24000)
"""A second of silence as pcm."""

GOOD = (200, SECOND, "chunked")
"""A second of audio, in chunks."""


class Script:
    """The replies of the server: ``replies`` in order, then the last one repeatedly.

    A reply is its status, its body, and its mode: ``chunked``, chunked with ``no end``,
    ``sized``, ``cut short`` of its size, or chunked when ``three together`` were requested.
    """

    def __init__(self, *replies: tuple[int, bytes, str]) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
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
        self.script.requests.append((self.path, dict(self.headers), json.loads(body)))
        status, reply, mode = self.script.next()
        if mode == "three together":
            self.script.three.wait(timeout=10)
        self.send_response(status)
        if mode == "sized":
            self.send_header("Content-Length", str(len(reply)))
        elif mode == "cut short":
            self.send_header("Content-Length", str(len(reply) + 1))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if mode in ("sized", "cut short"):
            self.wfile.write(reply)
        else:
            half = len(reply) // 2
            for part in (reply[:half], reply[half:]):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            if mode != "no end":
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Do not log to the test's output."""


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # with the default of 5, some connections would be retried


@contextmanager
def serving(*replies: tuple[int, bytes, str]) -> Iterator[tuple[str, Script]]:
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


def envelope(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()
