"""Hostile bytes at a live server: what gunicorn finds while the app reads the body is a 4xx."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.support.hostile_json import PYTHON_WORDS
from tests.support.live_server import Server
from voxcpm_openai.web.forms import MAX_LENGTH

BODY = b'{"model": "tone", "input": "Hello.", "response_format": "pcm"}'
JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
TOO_LARGE = r"The request body is too large\. The limit is [1-9][\d,]* bytes\."


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def ask(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes and read until the server closes: status, headers and body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        received = bytearray()
        try:
            client.sendall(request)
        except OSError:  # refused before it was read
            pass
        try:
            while part := client.recv(65_536):
                received += part
        except ConnectionResetError:  # the server closed before it had read all
            pass
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    fields = dict(header.lower().split(": ", 1) for header in headers)
    return int(line.split()[1]), fields, body


def chunked(content: bytes, path: str = "/v1/audio/speech", kind: str = JSON) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + content


MALFORMED = {
    "no number": b"zz\r\n" + BODY,
    "negative": b"-5\r\n" + BODY,
    "empty": b"\r\n" + BODY,
    "underscore": b"1_0\r\n" + BODY,
    "a line without an end": b"1" * 20_000,
    "extension": b'5;a="\x00"\r\n' + BODY,
    "wrong length": b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "trailer": chunk(BODY) + b"0\r\nno header\r\n\r\n",
}


def error_of(body: bytes) -> dict[str, str | None]:
    error: dict[str, str | None] = json.loads(body.decode("utf-8"))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert not [word for word in PYTHON_WORDS if word in str(error["message"])]
    return error


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/audio/speech", JSON), ("/v1/audio/voice_consents", FORM)]
)
def test_a_malformed_chunk_is_a_400_and_the_connection_ends(
    tone_server: Server, content: bytes, path: str, kind: str
) -> None:
    status, headers, body = ask(tone_server, chunked(content, path, kind))
    assert (status, headers["content-type"]) == (400, JSON)
    assert "not valid HTTP" in str(error_of(body)["message"])
    assert headers["x-request-id"].startswith("req_")


def test_trailers_that_are_too_long_are_a_431(tone_server: Server) -> None:
    trailers = b"".join(b"a%d: %s\r\n" % (number, b"x" * 4_000) for number in range(200))
    status, _, body = ask(tone_server, chunked(chunk(BODY) + b"0\r\n" + trailers + b"\r\n"))
    assert status == 431
    error_of(body)


def test_a_chunked_body_over_the_limit_is_a_413(tone_server: Server) -> None:
    content = b'{"model": "tone", "input": "' + b"x" * 400_000 + b'"}'
    status, _, body = ask(tone_server, chunked(chunk(content) + b"0\r\n\r\n"))
    assert status == 413
    assert re.fullmatch(TOO_LARGE, str(error_of(body)["message"]))


def test_a_chunked_form_over_the_limit_is_a_413(tone_server: Server) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="recording"; filename="x"\r\n\r\n'
    content = chunk(part + b"y" * (12 * 2**20)) + b"0\r\n\r\n"
    status, _, body = ask(tone_server, chunked(content, "/v1/audio/voice_consents", FORM))
    assert status == 413
    assert f"{MAX_LENGTH:,} bytes" in str(error_of(body)["message"])


@pytest.mark.parametrize("host", [b"a" * 300 + b".b", b"\xff\xfe", b"a..b", b"a b", b""])
def test_no_host_is_a_500(tone_server: Server, host: bytes) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    status, _, body = ask(tone_server, request)
    if status != 200:
        assert status == 400
        error_of(body)


@pytest.mark.parametrize(
    "header",
    [b"X-Request-Id: \xe9\xe9", b"Cookie: \xff=\xfe;;=", b"Range: bytes=" + b"9" * 5_000 + b"-"],
)
def test_no_header_breaks_the_answer(tone_server: Server, header: bytes) -> None:
    path = b"/v1/voices/sine/sample"
    request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header
    status, headers, _ = ask(tone_server, request + b"\r\n\r\n")
    assert status in (200, 416)
    assert headers["x-request-id"].startswith("req_")
