"""Nothing that a client names is a path: an audit of all that is opened while it is asked for."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import TONE, running
from tests.support.uploads import RECORDING

MARK = "marked-by-a-client"
HOSTILE = [
    MARK,
    f"../../{MARK}",
    f"..%2f..%2f{MARK}",
    f"%2e%2e/{MARK}",
    f"/etc/{MARK}",
    f"%2fetc%2f{MARK}",
    f"C:\\{MARK}",
    f"{MARK}%00.json",
    f"{MARK}\n",
    f"~/{MARK}",
    f"file:///{MARK}",
    f"voice_{MARK}",
    f"{MARK}{'x' * 300}",
]
FIELDS = ("model", "voice", "input", "response_format", "language", "name", "consent", "id", "text")

OPENERS = {"open", "os", "shutil", "tempfile", "glob", "pathlib"}
"""The first words of the events of file operations: see the table of audit events."""


class Audit:
    """Collects the arguments of all file operations of this process while it is on."""

    on = False
    seen: list[str]


def _hook(event: str, args: tuple[object, ...]) -> None:
    if Audit.on and event.partition(".")[0] in OPENERS:
        Audit.seen += [f"{event}: {argument!r}" for argument in args]


sys.addaudithook(_hook)  # there is no way to remove one


@contextmanager
def audited() -> Iterator[list[str]]:
    Audit.seen, Audit.on = [], True
    try:
        yield Audit.seen
    finally:
        Audit.on = False


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("data")
    settings = replace(TONE, engine="cloning-tone", data_dir=folder, require_consent=False)
    with running(settings) as made:
        yield made


def calls(client: FlaskClient) -> Iterator[tuple[str, str]]:
    for rule in client.application.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            yield method, rule.rule


@pytest.mark.parametrize("value", HOSTILE)
def test_no_route_opens_a_path_that_a_client_names(client: FlaskClient, value: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"json": {**dict.fromkeys(FIELDS, value), "lexicon": {value: value}}},
        {"json": {"model": "tts-1", "input": "x", "voice": value}},
        {"json": {"items": [{"input": "x", "voice": value}]}},
        {"data": {"type": "audio_sample", "name": value, "transcript": value, "consent": value}},
    ]
    locators = [{"pronunciation_dictionary_id": value, "version_id": value}]
    bodies.append({"json": {"text": "x", "pronunciation_dictionary_locators": locators}})
    for method, rule in calls(client):
        path = re.sub(r"<[^>]+>", lambda _: value, rule)
        for body in bodies if method in {"POST", "PATCH"} else [{}]:
            form = {}
            if "data" in body:
                names = ("audio_sample", "recording", "file")
                files = {name: (io.BytesIO(RECORDING), f"{value}.flac") for name in names}
                form = {"data": {**body["data"], **files}}
            with audited() as seen:
                reply = client.open(path, method=method, query_string={"id": value}, **body | form)
                reply.close()
            assert reply.status_code < 500, (method, path)
            assert [one for one in seen if MARK in one] == []


def test_the_audit_sees_what_is_opened(client: FlaskClient) -> None:
    with audited() as seen, pytest.raises(FileNotFoundError):
        Path(f"/nowhere/{MARK}").read_bytes()
    assert [one for one in seen if MARK in one]
