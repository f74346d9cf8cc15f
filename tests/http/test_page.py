"""The files of the web page, and what it is told about the server."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.conftest import TONE, running
from tests.support import ROOT
from tests.support.uploads import KEYS
from voxcpm_openai.app import create_app

FOLDER = ROOT / "voxcpm_openai" / "web" / "page"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*"))
SCRIPTS = [name for name in FILES if name.endswith(".js")]


def source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def texts(name: str) -> dict[str, str]:
    """Return the texts of a language, by key."""
    return dict(re.findall(r'^  (\w+): "(.*)",$', source(name), re.MULTILINE))


def test_the_page_is_at_the_root_and_runs_its_own_scripts_only(client: FlaskClient) -> None:
    reply = client.get("/")
    assert reply.content_type == "text/html; charset=utf-8"
    (policy,) = reply.headers.getlist("Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\son\w+=|\sstyle=", reply.text)


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_its_type_and_is_sent_once(client: FlaskClient, name: str) -> None:
    reply = client.get(f"/page/{name}")
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "txt": "text/plain"}
    assert reply.mimetype == {**kinds, "svg": "image/svg+xml"}[name.rpartition(".")[2]]
    assert reply.headers["Cache-Control"] == "no-cache"
    again = client.get(f"/page/{name}", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["nothing.js", "", "vendor", "../page_files.py", "..%2fpage_files.py", "/etc/passwd"]
)
def test_nothing_else_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


def test_every_module_is_preloaded_so_that_none_waits_for_another() -> None:
    preloaded = set(re.findall(r'rel="modulepreload" href="page/([^"]+)"', source("index.html")))
    assert preloaded == set(SCRIPTS) - {"main.js"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_imports_files_of_the_page_only(name: str) -> None:
    folder = Path(name).parent
    found = re.findall(r'(?:from|import)\s*\(?"([^"]+)"', source(name))
    assert {(folder / path).as_posix() for path in found} <= set(SCRIPTS)


def test_no_file_names_another_host() -> None:
    found = {url for name in FILES for url in re.findall(r"https?://[\w.-]+", source(name))}
    licenses = {"http://www.apache.org", "https://"}
    assert found - licenses <= {"http://www.w3.org"}  # the namespace of SVG


def test_what_is_vendored_has_its_license() -> None:
    assert {name for name in FILES if name.startswith("vendor/")} == {
        "vendor/LICENSE-htm.txt",
        "vendor/LICENSE-preact.txt",
        "vendor/preact-htm.js",
    }


def test_both_languages_have_all_texts_with_the_same_values() -> None:
    english, chinese = texts("english.js"), texts("chinese.js")
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key]))


def test_every_text_is_used_and_every_used_text_exists() -> None:
    code = "".join(source(name) for name in SCRIPTS if "vendor" not in name)
    used = set(re.findall(r'\bt\(\s*"(\w+)"', code))
    assert used <= set(texts("english.js"))
    code = code.replace(source("english.js"), "").replace(source("chinese.js"), "")
    unused = {key for key in texts("english.js") if not re.search(rf'"{key}"', code)}
    assert unused - {"waiting", "speaking", "done", "stopped", "failed"} == set()  # by state


def test_the_page_is_told_what_the_engine_can_do(client: FlaskClient) -> None:
    told = client.get("/page/server.json").get_json()
    assert told["engine_name"] == "tone"
    assert told["engine"] == {
        "cloning": False,
        "default_speaker": False,
        "needs_transcript": False,
        "voice_design": False,
        "instructions": False,
        "languages": ["en"],
    }
    assert told["formats"][:2] == ["mp3", "opus"]
    assert (told["keys_required"], told["consent_required"]) == (False, True)


def test_the_page_is_there_before_the_engine_has_started_and_without_a_key(tmp_path: Path) -> None:
    settings = replace(TONE, data_dir=tmp_path, api_keys=KEYS, public_discovery=False)
    client = create_app(settings).test_client()
    assert client.get("/").status_code == 200
    told = client.get("/page/server.json").get_json()
    assert (told["engine"], told["keys_required"]) == (None, True)


def test_voices_tell_where_they_come_from(tmp_path: Path) -> None:
    with running(replace(TONE, data_dir=tmp_path)) as client:
        listed = client.get("/v1/voices").get_json()["data"]
    kinds = {voice["id"]: voice["kind"] for voice in listed}
    assert (kinds["coral"], kinds["sine"]) == ("stock", "plugin")
