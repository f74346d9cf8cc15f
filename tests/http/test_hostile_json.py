"""No JSON document is a 500 on any route, and no error repeats what Python says about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import ANY

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.conftest import TONE, running
from tests.support.hostile_json import NUMBERS, PYTHON_WORDS, change, documents, nested
from tests.support.uploads import RECORDING
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.web.app_context import context_of

GOOD = {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "pcm"}
RULE = {"type": "alias", "string_to_replace": "Nguyen", "alias": "win"}
ELEVEN = "POST /v1/text-to-speech/<voice_id>"
SETTINGS = {"speed": 1.0, "stability": 0.5}
TEXT = {"text": "Hello.", "voice_settings": SETTINGS, "seed": 1, "language_code": "en"}
ROUTES: dict[str, tuple[str, dict[str, object]]] = {
    "POST /v1/audio/speech": ("", {**GOOD, "lexicon": {"Nguyen": "win"}}),
    "POST /v1/audio/speech/batch": ("", {"items": [GOOD, {"input": "x", "speed": 2}], "seed": 1}),
    "POST /v1/audio/speech/text": ("", {"input": "Hello.", "lexicon": {"Nguyen": {"ipa": "x"}}}),
    "POST /v1/voices": ("", {"name": "x", "description": "a calm old man", "language": "en"}),
    "PATCH /v1/voices/<id_>": ("voice", {"name": "x", "description": "y"}),
    "POST /v1/audio/voice_consents/<id_>": ("consent", {"name": "x"}),
    "POST /v1/pronunciation-dictionaries/add-from-rules": ("", {"name": "x", "rules": [RULE]}),
    ELEVEN: ("stock", {**TEXT, "model_id": "eleven_v3", "apply_text_normalization": "on"}),
    f"{ELEVEN}/stream/with-timestamps": ("stock", TEXT),
}
"""The routes that take JSON: what the id in the path is, and a right body."""
FUZZED = {**ROUTES, "POST /v1/audio/voices": ("", {"type": "prompt", "name": "x", "prompt": "y"})}
"""Those, and a route that takes a form as well."""
NO_BODY = {"POST /v1/voices/<id_>/keep", "POST /v1/audio/voices", "POST /v1/audio/voice_consents"}
"""The other routes that change something: they take no body, or a form."""
SAME_BODY = {f"{ELEVEN}/stream", f"{ELEVEN}/with-timestamps"}
"""Routes that read the body of another one, by the same function."""

PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


class Server:
    """A client, and the ids of a voice and a consent."""

    def __init__(self, client: FlaskClient) -> None:
        ctx = context_of(client.application)
        self.client = client
        self.ids = {
            "": "",
            "stock": "alloy",
            "voice": ctx.store.add("x", RECORDING, principal=OPERATOR).id,
            "consent": ctx.consents.add("x", RECORDING, language="en", principal=OPERATOR).id,
        }

    def send(self, route: str, body: bytes) -> TestResponse:
        method, path = route.split()
        path = re.sub("<.*>", self.ids[FUZZED[route][0]], path)
        return self.client.open(path, method=method, data=body, content_type="application/json")


@pytest.fixture(scope="module", params=[False, True], ids=["lenient", "strict"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    with running(replace(TONE, engine="cloning-tone", data_dir=data, strict=request.param)) as made:
        yield Server(made)


def error_of(reply: TestResponse) -> dict[str, str | None]:
    """Check an error, whose body must be UTF-8; return the error object."""
    assert 400 <= reply.status_code < 500, reply.data
    assert reply.content_type == "application/json"
    body = json.loads(reply.data.decode("utf-8"))
    if reply.request.path.startswith("/v1/text-to-speech/"):  # ElevenLabs' shape
        assert list(body) == ["detail"]
        detail = body["detail"]
        assert set(detail) == {"status", "message"}
        type_, code = "invalid_request_error", detail["status"]
        code = None if code == type_ else code
        body = {"error": {**detail, "type": type_, "param": ANY, "code": code}}
        del body["error"]["status"]
    assert list(body) == ["error"]
    error: dict[str, str | None] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    message = error["message"]
    assert message
    assert not [word for word in PYTHON_WORDS if word in message], message
    return error


def check(server: Server, route: str, body: bytes) -> None:
    with server.send(route, body) as reply:
        if reply.status_code == 200:
            assert reply.data
        else:
            error_of(reply)


def test_each_route_with_a_json_body_is_in_the_table(server: Server) -> None:
    found = {
        f"{method} {rule.rule}"
        for rule in server.client.application.url_map.iter_rules()
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH"}
    }
    assert found == {*ROUTES, *NO_BODY, *SAME_BODY}


@pytest.mark.parametrize("route", FUZZED)
@PROPERTY
@given(document=documents)
def test_no_document_is_a_500(server: Server, route: str, document: str) -> None:
    check(server, route, document.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("route", FUZZED)
@PROPERTY
@given(data=st.data())
def test_no_value_of_any_field_is_a_500(server: Server, route: str, data: st.DataObject) -> None:
    document = data.draw(change(FUZZED[route][1]))
    check(server, route, document.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("route", FUZZED)
@PROPERTY
@given(body=st.binary(max_size=60))
def test_no_bytes_are_a_500(server: Server, route: str, body: bytes) -> None:
    check(server, route, body)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("document", "param", "says"),
    [
        (b'{"voice": {"id": "\\ud800"}}', "voice", "lone surrogate"),
        (b'{"other": [{"a": ["\\udc00"]}]}', "other", "lone surrogate"),
        (b'{"other": {"\\udc00": 1}}', "other", "lone surrogate"),
        (b'{"\\ud800": 1}', None, "lone surrogate"),
        (b'{"other": 1e999}', "other", "too large"),
        (b'{"other": {"a": -1e999}}', "other", "too large"),
        (b'{"other": ' + b"9" * 5_000 + b"}", "other", "too large"),
        (b'{"other": [NaN]}', "other", "not a number"),
        (b'{"other": ' + nested(32).encode() + b"}", "other", "at most 32 levels"),
        (nested(100_000).encode(), None, "at most 32 levels"),
        (nested(20_000, kind="{}").encode(), None, "at most 32 levels"),
        (b'{"other": 1, "other": 2}', None, "'other' is twice"),
        (b'{"other": {"a": 1, "a": 2}}', None, "'a' is twice"),
        (b'{"other": "\xed\xa0\x80"}', None, "not UTF-8"),
        ('{"other": "x"}'.encode("utf-16"), None, "not UTF-8"),
        (b'{"other": "x', None, "line 1, column 11"),
        (b'{"other":\n }', None, "line 2, column 2"),
        (b'{"a": 1} 2', None, "line 1, column 10"),
        (b"", None, "line 1, column 1"),
        (b'{"a": "\n"}', None, "line 1, column 8"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_a_hostile_document_is_a_400_that_says_what_is_wrong(
    server: Server, route: str, document: bytes, param: str | None, says: str
) -> None:
    error = error_of(reply := server.send(route, document))
    assert (reply.status_code, error["param"], error["code"]) == (400, param, None)
    assert says in str(error["message"])


def test_a_document_of_the_greatest_depth_is_read(server: Server) -> None:
    document = b'{"input": 7, "other": ' + nested(31).encode() + b"}"
    error = error_of(server.send("POST /v1/audio/speech/text", document))
    assert error["param"] == "input"


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["speed", "seed", "sample_rate", "cfg_value", "other"])
def test_no_number_is_a_500(server: Server, field: str, number: str) -> None:
    fields = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in GOOD.items())
    check(server, "POST /v1/audio/speech", f'{{{fields},"{field}":{number}}}'.encode())


def test_a_byte_order_mark_is_skipped(server: Server) -> None:
    body = json.dumps(GOOD).encode("utf-8-sig")
    assert server.send("POST /v1/audio/speech", body).status_code == 200
