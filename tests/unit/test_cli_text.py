"""``voxcpm-openai text``: what would be said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.command import output_of, run
from tests.support.readings import Reading, is_read, readings
from voxcpm_openai.cli import main

TABLE = readings(Path(__file__).parents[1] / "support" / "readings.tsv")


def text(*args: str) -> Result:
    return CliRunner().invoke(main, ["text", *args])


def as_json(*args: str) -> Any:
    result = text(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.kind}-{row.text[:20]}")
def test_hibari_is_asked_to_say_what_a_person_would(row: Reading) -> None:
    said = as_json(row.text, "--engine", "hibari")
    spoken = " ".join(segment["spoken"] for segment in said["segments"])
    assert is_read(spoken, row.spoken), spoken


def test_the_command_prints_the_language_the_segments_and_their_pauses() -> None:
    result = run("text", "It costs $5. Good!", "--engine", "hibari", "--json")
    assert result.returncode == 0, output_of(result)
    assert json.loads(result.stdout) == {
        "language": "en",
        "segments": [
            {"text": "It costs $5.", "spoken": "It costs five dollars.", "pause": 0.35},
            {"text": "Good!", "spoken": "Good!", "pause": 0.0},
        ],
    }


def test_without_json_the_words_are_printed_line_by_line() -> None:
    result = text("It costs $5. Good!", "--engine", "hibari")
    assert result.stdout == "It costs five dollars.  [0.35 s]\nGood!\n"


def test_the_text_may_come_from_stdin() -> None:
    result = CliRunner().invoke(main, ["text", "-", "--engine", "hibari"], input="It costs $5.\n")
    assert result.stdout == "It costs five dollars.\n"


def test_an_engine_that_reads_written_forms_is_given_them_without_being_started() -> None:
    said = as_json("Es kostet 3,50 €.", "--engine", "voxcpm", "--language", "de")
    assert said == {"language": "de", "segments": [{"text": "Es kostet 3,50 €.", "pause": 0.0}]}


def test_words_can_be_made_for_any_engine() -> None:
    said = as_json("It costs $5.", "--engine", "voxcpm", "--normalize")
    assert said["segments"][0]["spoken"] == "It costs five dollars."


def test_words_can_be_made_for_any_engine_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXCPM_NORMALIZE", "true")
    said = as_json("It costs $5.", "--engine", "voxcpm")
    assert said["segments"][0]["spoken"] == "It costs five dollars."
    said = as_json("It costs $5.", "--engine", "voxcpm", "--no-normalize")
    assert "spoken" not in said["segments"][0]


def test_the_servers_lexicon_is_applied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text('[alias]\n"Nguyen" = "win"\n', encoding="utf-8")
    monkeypatch.setenv("VOXCPM_LEXICON", str(path))
    assert as_json("Nguyen.", "--engine", "hibari")["segments"][0]["spoken"] == "win."


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("Hi.", "--engine", "nobody"), "There is no engine 'nobody'; there are "),
        (("Hi.", "--voice", "nobody"), "nobody"),
        (("Hi.", "--language", "x y"), "'language' must be a language code"),
        (("🎉",), "nothing that can be spoken"),
        (("Привет", "--engine", "hibari"), "Cyrillic"),
    ],
)
def test_a_wrong_argument_is_one_message(args: tuple[str, ...], message: str) -> None:
    result = text(*args)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
