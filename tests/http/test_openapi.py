"""The API reference: it is valid, whole, and what the server does.

The examples in it are sent to the app, and the answers are compared with their schemas.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conftest import TONE, running
from tests.http.test_route_access import target
from tests.support import ROOT
from tests.support.openapi import Json, document_of, operations, problems
from tests.support.uploads import JANE, KEYS, file
from voxcpm_openai.errors import RequestError
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.openapi import document as builder
from voxcpm_openai.web.openapi import examples
from voxcpm_openai.web.openapi.examples import EXAMPLES, Example
from voxcpm_openai.web.openapi.json_types import JsonTypes
from voxcpm_openai.web.openapi.reference import FILES, FOLDER, PAGE
from voxcpm_openai.web.openapi.responses import CLASSES, HEADERS, error_responses

RECORDS = {
    examples.ADDED: "hers",
    examples.CANDIDATE: "candidate",
    examples.CONSENT: "consent",
    examples.DICTIONARY: "dictionary",
}
"""What an id of the examples stands for."""
RUNS = [(call, one) for call, found in EXAMPLES.items() for one in found]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of a server without keys, whose engine clones and designs."""
    folder: Path = tmp_path_factory.mktemp("data")
    settings = replace(TONE, engine="cloning-tone", data_dir=folder, require_consent=False)
    with running(settings) as client:
        yield client


@pytest.fixture(scope="module")
def document(server: FlaskClient) -> Json:
    return document_of(server)


def test_the_document_is_valid(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_each_route_is_in_the_document_and_nothing_else(
    server: FlaskClient, document: Json
) -> None:
    routes = {
        f"{method} {rule.rule.replace('<path:', '<').replace('_>', '>')}"
        for rule in server.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    found = {call.replace("{", "<").replace("}", ">") for call, _ in operations(document)}
    assert found == routes


def test_each_operation_has_texts_a_group_and_a_name_of_its_own(document: Json) -> None:
    groups = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for call, operation in operations(document):
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"]), call
        assert set(operation["tags"]) <= groups, call
        assert "``" not in operation["summary"] + operation.get("description", ""), call
        assert "Raises" not in operation.get("description", ""), call


def test_patterns_are_of_json_schema_and_not_of_python(document: Json) -> None:
    patterns = re.findall(r'"pattern": ?"(.*?)"', json.dumps(document))
    assert patterns
    for pattern in patterns:
        assert re.fullmatch(r"\^.*\$", pattern)
        assert "\\Z" not in pattern


def test_a_group_without_routes_is_not_listed(document: Json) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert {tag["name"] for tag in document["tags"]} == used


def test_each_route_has_an_example_and_each_example_a_route(document: Json) -> None:
    assert set(EXAMPLES) == {call for call, _ in operations(document)}


def test_a_route_with_a_body_or_a_query_has_an_example_of_it(document: Json) -> None:
    for call, operation in operations(document):
        if body := operation.get("requestBody"):
            assert all(media.get("examples") for media in body["content"].values()), call


def send(client: FlaskClient, document: Json, call: str, example: Example) -> Any:
    """Send an example, with records of its own for its ids."""
    ctx = context_of(client.application)

    def real(text: str) -> str:
        return target(ctx, RECORDS[text]) if text in RECORDS else text

    method, path = call.split()
    path = path.format_map({name: real(value) for name, value in example.path.items()})
    sent: dict[str, Any] = {}
    if example.media_type == examples.FORM:
        parts = dict(example.body or {})
        recordings = [name for name, value in parts.items() if value == "(a recording)"]
        texts = {name: real(value) for name, value in parts.items() if name not in recordings}
        sent["data"] = {**texts, **{name: file() for name in recordings}}
    elif example.body is not None:
        sent["json"] = dict(example.body)
    return client.open(path, method=method, query_string=dict(example.query), **sent)


@pytest.mark.parametrize(
    ("call", "example"), RUNS, ids=[f"{call} {one.name}".replace(" ", "_") for call, one in RUNS]
)
def test_an_example_is_answered_as_the_document_says(
    server: FlaskClient, document: Json, call: str, example: Example
) -> None:
    operation = dict(operations(document))[call]
    reply = send(server, document, call, example)
    assert reply.status_code == example.status, reply.text
    content = operation["responses"][str(example.status)].get("content", {})
    media = content.get(reply.mimetype) or content[reply.mimetype.split("/")[0] + "/*"]
    if reply.mimetype == "application/json":
        assert problems(document, media["schema"], reply.get_json()) == []
    documented = operation["responses"][str(example.status)].get("headers", {})
    ours = {name for name in dict(reply.headers) if name in HEADERS}
    assert ours <= set(documented)


@pytest.mark.parametrize("call", ["GET /v1/voices", "GET /v1/voices/{id}", "GET /v1/models"])
def test_elevenlabs_shape_is_in_the_document_too(
    server: FlaskClient, document: Json, call: str
) -> None:
    headers = {"xi-api-key": KEYS[0]}
    reply = server.get(call.split()[1].replace("{id}", "coral"), headers=headers)
    responses = dict(operations(document))[call]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    assert problems(document, schema, reply.get_json()) == []
    wrong = server.get("/v1/voices/nobody", headers=headers)
    errors = dict(operations(document))["GET /v1/voices/{id}"]["responses"]["404"]
    schema = errors["content"]["application/json"]["schema"]
    assert problems(document, schema, wrong.get_json()) == []


@pytest.mark.parametrize(("call", "example"), RUNS, ids=str)
def test_an_example_that_succeeds_is_what_its_schema_says(
    document: Json, call: str, example: Example
) -> None:
    operation = dict(operations(document))[call]
    if example.body is None or example.status == 400:
        return
    schema = operation["requestBody"]["content"][example.media_type]["schema"]
    assert problems(document, schema, example.body) == []


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("POST /v1/audio/speech", {"input": "Hello."}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "speed": 9}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "voice": {}}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "sample_rate": 1}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "normalize": "yes"}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "seed": "seven"}),
        ("POST /v1/audio/speech", {"model": "tts-1", "input": "Hello.", "lexicon": []}),
        ("POST /v1/audio/speech/batch", {"items": [{"input": "Hello.", "speed": 9}] * 33}),
        ("POST /v1/audio/speech/batch", {}),
        ("POST /v1/text-to-speech/{voice_id}", {"text": "Hello.", "voice_settings": {"speed": 9}}),
        ("POST /v1/pronunciation-dictionaries/add-from-rules", {"name": "x", "rules": [{}]}),
    ],
)
def test_what_the_schema_refuses_the_server_refuses(
    server: FlaskClient, document: Json, call: str, body: Json
) -> None:
    schema = dict(operations(document))[call]["requestBody"]["content"]["application/json"]
    assert problems(document, schema["schema"], body) != []
    path = call.split()[1].replace("{voice_id}", "coral")
    assert server.post(path, json=body).status_code == 400


@pytest.mark.parametrize("discovery", [True, False])
def test_the_document_says_which_routes_need_a_key(
    tone_settings: Settings, discovery: bool
) -> None:
    settings = replace(tone_settings, api_keys=KEYS, public_discovery=discovery)
    with running(settings) as client:
        document: Json = client.get("/openapi.json", headers=JANE).get_json()
        for call, operation in operations(document):
            method, path = call.split()
            status = client.open(re.sub("{.*?}", "coral", path), method=method).status_code
            assert ({} in operation["security"]) == (status != 401), call
            if status == 401:
                assert "401" in operation["responses"]


def test_each_error_has_a_response_with_its_code_and_its_headers() -> None:
    """Also those that a later change adds: any docstring may name them after ``Raises``."""
    types = JsonTypes(lambda name, schema: None)
    responses = error_responses(tuple(CLASSES.values()), types, path="/x", blueprint="speech")
    for kind in CLASSES.values():
        if issubclass(kind, RequestError):
            error = kind("")
            response = responses[str(error.status)]
            assert (error.code or "") in response["description"]
            assert set(error.headers) <= set(response.get("headers", {}))


def test_what_a_view_says_that_it_raises_exists(server: FlaskClient) -> None:
    for view in server.application.view_functions.values():
        _, _, text = (view.__doc__ or "").partition("Raises ")
        for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", text.replace("ElevenLabs", "")):
            assert name in CLASSES, view


def test_the_document_is_made_once_and_revalidated(
    app: Flask, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    made: list[Flask] = []
    document: Callable[[Flask], Json] = builder.document
    monkeypatch.setattr(builder, "document", lambda app: made.append(app) or document(app))
    replies = list(pool.map(lambda _: app.test_client().get("/openapi.json"), range(8)))
    assert len(made) == 1
    assert len({reply.data for reply in replies}) == 1
    reply = replies[0]
    assert reply.headers["Cache-Control"] == "no-cache"
    etag = {"If-None-Match": reply.headers["ETag"]}
    again = app.test_client().get("/openapi.json", headers=etag)
    assert (again.status_code, again.data) == (304, b"")


def test_the_page_names_only_files_of_this_server(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    named = re.findall(r'(?:href|src|spec-url)="([^"]+)"', page.text)
    assert named
    for url in named:
        assert client.get(f"/{url}").status_code == 200
    assert "<script>" not in page.text
    assert "style=" not in page.text


def test_only_the_page_may_run_scripts_and_only_its_own(client: FlaskClient) -> None:
    policies = {
        path: client.get(path).headers["Content-Security-Policy"]
        for path in ("/docs", "/openapi.json", "/docs/redoc.standalone.js", "/v1/models")
    }
    page = policies.pop("/docs")
    assert set(policies.values()) == {"default-src 'none'; frame-ancestors 'none'"}
    rules = dict(rule.split(" ", 1) for rule in page.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "http" not in page
    assert "*" not in page


def test_no_file_of_the_page_loads_anything_from_another_host(client: FlaskClient) -> None:
    for path in ("/docs", *(f"/docs/{name}" for name in FILES)):
        loaded = r'(?:\bsrc[:=]\s*|url\(|import\()["\'](https?:[^"\']+)'
        assert re.findall(loaded, client.get(path).text) == []


def test_a_file_has_one_content_type(client: FlaskClient) -> None:
    for path, kind in (("/docs", "text/html"), *((f"/docs/{n}", k) for n, k in FILES.items())):
        assert client.get(path).headers["Content-Type"] == f"{kind}; charset=utf-8"


def test_a_slash_after_the_page_leads_to_it(client: FlaskClient) -> None:
    reply = client.get("/docs/")
    assert (reply.status_code, reply.headers["Location"]) == (308, "../docs")


def test_the_viewer_comes_with_its_license(client: FlaskClient) -> None:
    assert "MIT" in client.get("/docs/LICENSE.txt").text
    assert {path.name for path in FOLDER.iterdir()} == {PAGE, *FILES}


@pytest.mark.parametrize("name", ["nothing.js", PAGE, "..%2Freference.py", "%2E%2E"])
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code in (308, 404)


def test_the_document_costs_nothing_until_it_is_asked_for() -> None:
    script = (
        "import sys\n"
        "from voxcpm_openai.app import create_app\n"
        "from voxcpm_openai.settings import Settings\n"
        "app = create_app(Settings(engine='embedded'))\n"
        "assert 'apispec' not in sys.modules\n"
        "assert app.test_client().get('/openapi.json').status_code == 200\n"
        "assert 'apispec' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_type_without_a_schema_is_an_error() -> None:
    added: dict[str, Json] = {}
    types = JsonTypes(added.__setitem__)
    with pytest.raises(TypeError, match="no JSON Schema"):
        types.schema(complex)
    assert types.schema(dict[str, int | None]) == {
        "type": "object",
        "additionalProperties": {"type": ["integer", "null"]},
    }
    assert added == {}
