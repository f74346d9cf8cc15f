"""Paths, queries, headers and forms of hostile clients: no 500, and nothing breaks out of a log
line or a header.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkExtension,
    InvalidChunkSize,
    InvalidHeader,
    LimitRequestHeaders,
    NoMoreData,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.conftest import TONE, running
from tests.support.hostile_json import PYTHON_WORDS
from tests.support.uploads import RECORDING
from voxcpm_openai.web.errors import envelope

SPEECH = "/v1/audio/speech"
CONSENTS = "/v1/audio/voice_consents"
DICTIONARIES = "/v1/pronunciation-dictionaries"
GOOD = json.dumps({"model": "tts-1", "input": "Hello.", "response_format": "pcm"}).encode()
PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
HOSTILE = [
    *("\0", "\r\nX-Evil: 1", "\n2026-01-01 ERROR forged", "\x1b[2J", "\u202e", "é", "x" * 3_000),
    *("../../../etc/passwd", "%00", "%s%n", "{0}", "__class__", "' OR 1=1", "\ufffd", "\U0001f600"),
]


@pytest.fixture(scope="module", params=[False, True], ids=["lenient", "strict"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    data = tmp_path_factory.mktemp("data")
    with running(replace(TONE, engine="cloning-tone", data_dir=data, strict=request.param)) as made:
        yield made


def error_of(reply: TestResponse) -> dict[str, str | None]:
    """Check an error and all headers; return the error object."""
    assert 400 <= reply.status_code < 500, reply.data
    for name, value in reply.headers:
        assert "\n" not in name + value
        assert "\r" not in name + value
    assert "X-Evil" not in reply.headers
    body = json.loads(reply.data.decode("utf-8"))
    assert set(body["error"]) == {"message", "type", "param", "code"}
    message = body["error"]["message"]
    assert not [word for word in PYTHON_WORDS if word in message], message
    error: dict[str, str | None] = body["error"]
    return error


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/voices/{}",
        "/v1/voices/{}/sample",
        "/v1/models/{}",
        f"{CONSENTS}/{{}}",
        f"{CONSENTS}?after={{}}",
        f"{CONSENTS}?limit={{}}",
        f"{DICTIONARIES}/{{}}",
        f"{DICTIONARIES}?cursor={{}}",
        f"{DICTIONARIES}?page_size={{}}",
        "/v1/nothing/{}",
    ],
)
def test_a_hostile_id_is_a_4xx_and_one_line_of_the_log(
    client: FlaskClient, path: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        error_of(reply := client.get(path.format(quote(value, safe=""))))
        reply.close()
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if line.startswith("id=")]) == 1
    assert all("\n" not in line and "\r" not in line and "\x1b" not in line for line in lines)


@pytest.mark.parametrize("value", ["%ed%a0%80", "%ff%fe", "%", "%zz", "%f0%9f", "+%00+"])
@pytest.mark.parametrize("path", ["/v1/voices/{}", f"{CONSENTS}?after={{}}", "/v1/models/{}"])
def test_bytes_of_a_url_that_are_not_text_are_a_4xx(
    client: FlaskClient, path: str, value: str
) -> None:
    error_of(client.get(path.format(value)))


@pytest.mark.parametrize("path", ["//v1/models", "/v1//models", "///v1///models//"])
def test_doubled_slashes_are_read_as_one_without_a_redirect(client: FlaskClient, path: str) -> None:
    reply = client.get("/", environ_overrides={"PATH_INFO": path})
    assert (reply.status_code, reply.data) == (200, client.get("/v1/models").data)


@pytest.mark.parametrize("path", ["//evil.example/x", "//evil.example"])
def test_a_doubled_slash_leads_to_no_other_host(client: FlaskClient, path: str) -> None:
    error = error_of(reply := client.get("/", environ_overrides={"PATH_INFO": path}))
    assert (reply.status_code, error["code"]) == (404, "unknown_url")
    assert "Location" not in reply.headers


def test_two_slashes_are_the_page_and_no_redirect(client: FlaskClient) -> None:
    reply = client.get("/", environ_overrides={"PATH_INFO": "//"})
    assert reply.status_code == 200
    assert "Location" not in reply.headers


@pytest.mark.parametrize("sent", ["é" * 8, "x" * 129, "a b", "a;b", "", "\u00aa\u00b5"])
def test_a_request_id_that_is_not_plain_is_replaced(client: FlaskClient, sent: str) -> None:
    reply = client.get("/v1/models", headers={"X-Request-Id": sent.encode().decode("latin-1")})
    assert reply.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "\0", "é", "\u2028", "x" * 10_000])
def test_names_of_ignored_fields_cannot_break_the_header(client: FlaskClient, name: str) -> None:
    body = {**json.loads(GOOD), name: 1}
    with client.post(SPEECH, json=body) as reply:
        if reply.status_code == 200:
            ignored = reply.headers["x-voxcpm-ignored"]
            assert ignored.isascii()
            assert ignored.isprintable()
            assert "X-Evil" not in reply.headers
        else:  # strict
            error_of(reply)


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def field(name: bytes, value: bytes, *lines: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="' + name + b'"'
    return b"\r\n".join([head, *lines, b"", value])


def upload(name: bytes, file_name: bytes) -> bytes:
    return field(name + b'"; filename="' + file_name, RECORDING)


NAMES = [
    *(b"me.flac", b"", b"\xff\xfe", b"\xed\xa0\x80", b"a\0b", b"..\\..\\x", b"a\r\nX-Evil: 1"),
    *(b'a"; name="name', b"%s" * 99, b"\\", b"=?utf-8?q?x?="),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", [CONSENTS, "/v1/audio/voices", "/v1/voices"])
def test_no_file_name_is_a_500(client: FlaskClient, path: str, name: bytes) -> None:
    file = b"recording" if path == CONSENTS else b"audio_sample"
    body = multipart(field(b"name", b"x"), field(b"language", b"en"), upload(file, name))
    with client.post(path, data=body, content_type="multipart/form-data; boundary=x") as reply:
        if reply.status_code != 200:
            error_of(reply)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xed\xa0\x80", b"\0", b"a\r\nb", b"x" * 9_000])
@pytest.mark.parametrize("name", [b"name", b"language", b"consent", b"description", b"transcript"])
def test_no_text_of_a_form_is_a_500(client: FlaskClient, name: bytes, value: bytes) -> None:
    fields = {b"name": b"x", b"language": b"en", b"transcript": b"y", name: value}
    body = multipart(*(field(n, v) for n, v in fields.items()), upload(b"audio_sample", b"x"))
    for path in ("/v1/audio/voices", "/v1/voices"):
        with client.post(path, data=body, content_type="multipart/form-data; boundary=x") as reply:
            if reply.status_code != 200:
                error_of(reply)


@pytest.mark.parametrize(
    "kind",
    [
        *("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x"),
        *("multipart/form-data; boundary=y", 'multipart/form-data; boundary="', "x", "/", ";"),
        *("multipart/form-data; boundary=" + "x" * 500, "multipart/form-data; boundary=\0"),
        *("multipart/form-data; boundary=x; charset=utf-7", "application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.parametrize("path", [CONSENTS, "/v1/audio/voices", "/v1/voices", SPEECH])
def test_no_content_type_is_a_500(client: FlaskClient, path: str, kind: str) -> None:
    body = multipart(field(b"name", b"x"), upload(b"recording", b"x"))
    error_of(client.post(path, data=body, content_type=kind))


parts = st.lists(
    st.builds(
        field,
        st.one_of(
            st.sampled_from([b"name", b"recording", b'recording"; filename="x']), st.binary()
        ),
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"Content-Type: text/plain; charset=utf-7",
                b"Content-Type: \xff",
                b"Content-Transfer-Encoding: base64",
                b": x",
                b"x" * 5_000,
                b"X: y\r\n z",
            ]
        ),
    ),
    max_size=4,
).map(lambda made: multipart(*made))


# Werkzeug leaves the file of a form that is cut short to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", [CONSENTS, "/v1/audio/voices", "/v1/voices"])
@PROPERTY
@given(body=st.one_of(parts, st.binary(max_size=60), parts.map(lambda made: made[:-9])))
def test_no_form_is_a_500(client: FlaskClient, path: str, body: bytes) -> None:
    with client.post(path, data=body, content_type="multipart/form-data; boundary=x") as reply:
        error_of(reply)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x\xff", "identity, gzip"])
@pytest.mark.parametrize("path", [SPEECH, CONSENTS, "/v1/voices"])
def test_a_compressed_body_is_a_415(client: FlaskClient, path: str, coding: str) -> None:
    kind = "application/json" if path == SPEECH else "multipart/form-data; boundary=x"
    headers = {"Content-Encoding": coding, "Content-Type": kind}
    error = error_of(reply := client.post(path, data=GOOD, headers=headers))
    assert reply.status_code == 415
    assert "compressed" in str(error["message"])


@pytest.mark.parametrize("coding", ["identity", "", " Identity "])
def test_a_body_that_is_said_to_be_plain_is_read(client: FlaskClient, coding: str) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    with client.post(SPEECH, data=GOOD, headers=headers) as reply:
        assert reply.status_code == 200


def chunked(
    client: FlaskClient, stream: io.RawIOBase | io.BytesIO, path: str = SPEECH
) -> TestResponse:
    """Send a body without a length, as gunicorn passes chunks on."""
    return client.post(
        path,
        headers={"Transfer-Encoding": "chunked"},
        content_type="application/json",
        environ_overrides={"wsgi.input": stream, "wsgi.input_terminated": True},
    )


def test_a_chunked_body_of_the_limit_is_read_and_one_byte_more_is_a_413(
    client: FlaskClient,
) -> None:
    limit = client.application.config["MAX_CONTENT_LENGTH"]
    padded = GOOD + b" " * (limit - len(GOOD))
    with chunked(client, io.BytesIO(padded)) as reply:
        assert reply.status_code == 200
    for body in (padded + b" ", b'{"input": "' + b"x" * limit + b'"}'):
        error = error_of(reply := chunked(client, io.BytesIO(body)))
        assert reply.status_code == 413
        assert error["message"] == f"The request body is too large. The limit is {limit:,} bytes."


class Broken(io.RawIOBase):
    """A body that fails after its first bytes, as gunicorn's do."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._left = b'{"model": '

    def read(self, size: int = -1) -> bytes:
        left, self._left = self._left, b""
        if not left:
            raise self._error
        return left

    def readinto(self, buffer: bytearray) -> int:
        left = self.read(len(buffer))
        buffer[: len(left)] = left
        return len(left)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidChunkSize(b"zz"), 400),
        (ChunkMissingTerminator(b"xx"), 400),
        (InvalidChunkExtension("bare CR not allowed"), 400),
        (InvalidHeader("a\r\nforged"), 400),
        (LimitRequestHeaders("limit request trailer section size"), 431),
        (NoMoreData(b"x"), 400),
    ],
)
def test_an_error_of_the_server_while_the_body_is_read_is_the_clients(
    client: FlaskClient, error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = error_of(reply := chunked(client, Broken(error)))
    assert (reply.status_code, found["type"]) == (status, "invalid_request_error")
    assert "HTTP" in str(found["message"])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_unexpected_error_cannot_forge_a_line_of_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{CONSENTS}/%0A2026-01-01%20forged"
    reply = chunked(client, Broken(RuntimeError("a bug")), path)
    assert reply.status_code == 500
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_an_error_object_can_always_be_encoded(text: str) -> None:
    error = envelope(text, "invalid_request_error", param=text)
    json.dumps(error, ensure_ascii=False).encode()
