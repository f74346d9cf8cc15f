"""The docs match the code: generated parts, commands, links, examples."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest
from click import Command

from tests.support import EXAMPLES, ROOT
from tests.support.command import run
from tests.support.live_server import Server
from voxcpm_openai.cli import main
from voxcpm_openai.registry import load_registry
from voxcpm_openai.setting_sources import RawSettings, sources
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.text.lexicon_files import read_file, rules_of_table

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_parts_are_fresh(generate: ModuleType, path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert generate.render(page) == page, "run `make docs`"


def test_each_generated_part_stands_in_some_page(generate: ModuleType) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for name in generate.PARTS:
        assert f"<!-- generated: {name} -->" in text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    kinds = (Settings, *load_registry(Settings()).plugin_settings())
    known = {source.variable for kind in kinds for source in sources(kind, RawSettings())}
    known |= {"VOXCPM_CONFIG", "VOXCPM_BEEP_PITCH"}  # the latter is the example's own
    known |= {"VOXCPM_BUILD_TESTS", "VOXCPM_BUILD_BENCHMARK"}  # of VoxCPM.cpp
    named = set(re.findall(r"VOXCPM_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert named <= known


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_settings_file_of_the_docs_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (shown,) = blocks(page, "toml")
    (tmp_path / "voices").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "voxcpm.toml").write_text(shown)
    settings = load_settings({"VOXCPM_CONFIG": str(tmp_path / "voxcpm.toml")})
    assert settings.port == 8080


def test_the_files_of_the_lexicon_page_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "lexicon.md").read_text(encoding="utf-8")
    file, voice = blocks(page, "toml")
    (pls,) = blocks(page, "xml")
    (tmp_path / "lexicon.toml").write_text(file, encoding="utf-8")
    (tmp_path / "lexicon.pls").write_text(pls, encoding="utf-8")
    rules = read_file(tmp_path / "lexicon.toml") + read_file(tmp_path / "lexicon.pls")
    assert {rule.text for rule in rules} == {"Nguyen", "Nguyễn", "C++", "gif", "US", "W3C"}
    assert len(rules_of_table(tomllib.loads(voice)["lexicon"])) == 2


def test_the_requests_of_the_lexicon_page_work(server: Server, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "lexicon.md").read_text(encoding="utf-8")
    (body,) = blocks(page, "json")
    (command,) = blocks(page, "sh")
    command = command.replace("curl ", "curl --fail ").replace("http://127.0.0.1:7861", server.url)
    shown = subprocess.run(
        ["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    headers = {"Content-Type": "application/json"}
    requests = [
        urllib.request.Request(f"{server.url}/v1/audio/speech", body.encode(), headers),
        urllib.request.Request(
            f"{server.url}/v1/pronunciation-dictionaries/{json.loads(shown)['id']}", method="DELETE"
        ),
    ]
    for request in requests:
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 200


def test_the_text_page_shows_what_is_said(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "text.md").read_text(encoding="utf-8")
    (commands,) = blocks(page, "sh")
    (expected,) = blocks(page, "json")
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, env=environ, check=True, capture_output=True
    ).stdout.decode()
    spoken, _, printed = shown.partition("\n")
    assert json.loads(printed) == json.loads(expected)
    assert spoken == json.loads(expected)["segments"][0]["spoken"]


def test_the_normalizer_of_the_text_page_is_the_example(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "text.md").read_text(encoding="utf-8")
    (shown,) = blocks(page, "python")
    example = EXAMPLES / "plugins" / "french_normalizer.py"
    assert shown == example.read_text(encoding="utf-8")
    (tmp_path / example.name).write_text(shown, encoding="utf-8")
    result = run(
        *("text", "Il y a 5 %.", "--engine", "voxcpm", "--language", "fr", "--normalize"),
        plugins_dir=str(tmp_path),
    )
    assert result.stdout.decode() == "Il y a cinq pour cent.\n"


def test_the_voice_file_of_the_readme_is_the_example() -> None:
    (shown,) = blocks(README, "toml")
    example = (EXAMPLES / "voices" / "wren.toml").read_text(encoding="utf-8")
    options = example[example.index("[options.hibari]") :]
    assert options in shown


def test_the_readmes_curl_speaks(server: Server, tmp_path: Path) -> None:
    (command,) = [block for block in blocks(README, "sh") if block.startswith("curl")]
    command = command.replace("http://127.0.0.1:7861", server.url)
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "hello.mp3").stat().st_size > 5_000


def test_the_readmes_program_speaks(server: Server, tmp_path: Path) -> None:
    (program,) = blocks(README, "python")
    program = program.replace("http://127.0.0.1:7861", server.url)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert (tmp_path / "speech.mp3").stat().st_size > 5_000


def test_the_readmes_command_lines_work(tmp_path: Path) -> None:
    (commands,) = [block for block in blocks(README, "sh") if "voxcpm-openai speak" in block]
    here = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, env=environ, check=True, capture_output=True
    )
    assert (tmp_path / "hello.wav").stat().st_size > 20_000
    assert (tmp_path / "pipe.mp3").stat().st_size > 5_000


def test_the_readmes_make_targets_exist() -> None:
    targets = re.findall(r"^make (\w+)$", README, re.MULTILINE)
    assert {"serve", "test", "lint", "bench"} <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    commands = set(re.findall(r"voxcpm-openai ([a-z]+)", README))
    assert commands <= set(main.commands)
    assert all(isinstance(command, Command) and command.help for command in main.commands.values())


def test_the_dockerfile_starts_what_the_package_has() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r'^CMD \["(.+)"\]$', dockerfile, re.MULTILINE)
    assert shlex.split(command.replace('", "', " ")) == ["voxcpm-openai", "serve"]
    for path in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / name).exists() for name in path.split())
