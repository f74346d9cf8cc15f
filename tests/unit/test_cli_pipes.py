"""In a pipe, commands write text for programs: no control characters, or one JSON document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import TONE_PLUGINS
from tests.support.scripted_server import GOOD, serving
from voxcpm_openai.app import create_app
from voxcpm_openai.cli import main
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e"
"""A text that would change the colour, the title and the screen of a terminal, and its order."""

LINES = f"{HOSTILE} of\ntwo lines"
VOICE = f"""
name = {json.dumps(HOSTILE)}
description = {json.dumps(LINES)}
language = "en"
[options.tone]
pitch = 440
"""

COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("-h",),
    "help of a command": ("speak", "--help"),
    "version": ("--version",),
    "speak": ("speak", "Hello.", "-o", "hello.wav"),
    "speak, no voice": ("speak", "Hello.", "-o", "hello.wav", "--voice", HOSTILE),
    "speak, no format": ("speak", "Hello.", "-o", f"hello.{HOSTILE}"),
    "text": ("text", f"It costs {HOSTILE} $5. Good!"),
    "text, JSON": ("text", f"It costs {HOSTILE} $5. Good!", "--json"),
    "voices": ("voices",),
    "voices, JSON": ("voices", "--json"),
    "voices list, JSON": ("voices", "list", "--json"),
    "voices show": ("voices", "show", "hostile"),
    "voices show, JSON": ("voices", "show", "hostile", "--json"),
    "voices remove": ("voices", "remove", "hostile"),
    "voices preview": ("voices", "preview", "hostile", "-o", "hostile.flac"),
    "models": ("models",),
    "models, JSON": ("models", "--json"),
    "check": ("check",),
    "check, JSON": ("check", "--json"),
    "check --url": ("check", "--url", "http://127.0.0.1:9"),
    "check --url, JSON": ("check", "--url", "http://127.0.0.1:9", "--json"),
    "bench, nobody there": ("bench", "http://127.0.0.1:9"),
    "key": ("key", "jane"),
    "init": ("init", "new"),
    "completion bash": ("completion", "bash"),
    "completion zsh": ("completion", "zsh"),
    "completion fish": ("completion", "fish"),
    "no command": (HOSTILE,),
    "no option": (f"--{HOSTILE}",),
}
FAILS = {"check --url", "check --url, JSON", "bench, nobody there", "no command", "no option"}
FAILS |= {"speak, no voice", "speak, no format", "voices remove"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables that ask for colours, and a voice whose texts are hostile."""
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "hostile.toml").write_text(VOICE, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("VOXCPM_")}
    return {
        **clean,
        "VOXCPM_ENGINE": "tone",
        "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS),
        "VOXCPM_VOICES_DIR": str(tmp_path / "voices"),
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
    }


def run(
    arguments: tuple[str, ...], environ: dict[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voxcpm_openai", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environ,
        cwd=cwd,
        timeout=60,
        check=False,
    )


def controls(text: str) -> set[str]:
    """Return the control characters of a text, and those that change its direction."""
    return {
        char
        for char in text
        if (unicodedata.category(char) in ("Cc", "Zl", "Zp") and char != "\n")
        or unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_writes_control_characters(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    result = run(COMMANDS[name], environ, tmp_path)
    assert (result.returncode != 0) is (name in FAILS), result.stderr
    assert controls(result.stdout) | controls(result.stderr) == set()
    assert "Traceback" not in result.stderr
    assert result.stdout or name in FAILS or name == "speak" or "preview" in name
    if "JSON" in name:
        json.loads(result.stdout)


def test_every_command_is_in_the_table() -> None:
    named = {arguments[0] for arguments in COMMANDS.values()}
    assert set(main.commands) - named == {"pull", "serve"}  # a download, and a server


def as_json(*arguments: str, environ: dict[str, str], cwd: Path) -> Any:
    result = run((*arguments, "--json"), environ, cwd)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def http(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the HTTP API with the same plugins and voices."""
    folders = {"plugins_dir": TONE_PLUGINS, "voices_dir": Path(environ["VOXCPM_VOICES_DIR"])}
    app = create_app(Settings(engine="tone", **folders))
    engine = context_of(app).engine
    engine.start()
    engine.wait(30)
    yield lambda path: app.test_client().get(path).get_json()
    engine.stop()


def test_voices_and_models_have_the_names_of_the_http_api(
    http: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    voices = as_json("voices", environ=environ, cwd=tmp_path)
    assert voices == {key: http("/v1/voices")[key] for key in ("object", "data")}
    assert as_json("voices", "show", "alloy", environ=environ, cwd=tmp_path) == http(
        "/v1/voices/alloy"
    )
    models = as_json("models", environ=environ, cwd=tmp_path)
    served = [model for model in models["data"] if model["served"]]
    own = ("engine", "options", "served")
    shown = [{key: value for key, value in one.items() if key not in own} for one in served]
    assert shown == http("/v1/models")["data"]


def test_check_tells_all_as_json_also_what_is_wrong(
    environ: dict[str, str], tmp_path: Path
) -> None:
    result = run(("check", "--json"), {**environ, "VOXCPM_PORT": "x"}, tmp_path)
    report = json.loads(result.stdout)
    assert (result.returncode, report["ok"], result.stderr) == (1, False, "")
    assert any("VOXCPM_PORT = 'x'" in problem for problem in report["problems"])
    found = {row["key"]: row for row in report["settings"]}
    assert found["port"]["value"] == "(wrong)"
    assert found["max_streams"]["value"] == Settings().max_streams
    assert found["engine"]["origin"] == "VOXCPM_ENGINE"
    assert {one["name"] for one in report["engines"]} >= {"tone", "embedded"}
    assert report["engine"]["name"] == "tone"


def test_bench_prints_one_document(environ: dict[str, str], tmp_path: Path) -> None:
    with serving(GOOD) as (url, _):
        arguments = ("bench", url, "--streams", "1,2", "--requests", "2")
        document = as_json(*arguments, environ=environ, cwd=tmp_path)
    assert document["object"] == "list"
    assert [level["streams"] for level in document["data"]] == [1, 2]
