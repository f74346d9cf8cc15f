"""On a terminal commands show tables and colours that fit it, unless NO_COLOR is set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import TONE_PLUGINS
from tests.support.scripted_server import GOOD, serving
from tests.support.terminal import Shown, shown

TONE = {"VOXCPM_ENGINE": "tone", "VOXCPM_PLUGINS_DIR": str(TONE_PLUGINS)}
WIDTHS = (80, 40)


def words(screen: Shown) -> str:
    """Return the text of a screen without its line breaks."""
    return " ".join(screen.text.split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_voices_are_a_table_or_paragraphs(columns: int) -> None:
    screen = shown("voices", columns=columns, **TONE)
    assert screen.status == 0
    assert screen.coloured
    assert [line for line in screen.lines if line.startswith("alloy")]
    header = screen.lines[0].split() == ["voice", "lang", "description", "engines"]
    assert header is (columns == 80)
    starts = [line.split()[0] for line in screen.lines[header:] if not line.startswith(" ")]
    assert starts[0] == "alloy"
    assert "sine" in starts
    if columns == 40:
        assert re.search(r"^  engines +tone", screen.text, re.MULTILINE)


@pytest.mark.parametrize("columns", WIDTHS)
def test_check_shows_sections(columns: int) -> None:
    screen = shown("check", columns=columns, **TONE)
    assert screen.status == 0
    titles = [line for line in screen.lines if line in ("Settings", "Plugins", "Engines", "Start")]
    assert titles == ["Settings", "Plugins", "Engines", "Start"]
    assert screen.lines[-1] == "the server can start"
    assert re.search(r"^max_streams\b", screen.text, re.MULTILINE)


def test_what_check_says_of_the_engine_is_wrapped_between_words() -> None:
    screen = shown("check", columns=40, VOXCPM_ENGINE="auto")
    written = screen.raw[screen.raw.index("chosen: engine") :].splitlines()
    assert not written[1].startswith("workers")
    assert max(len(line) for line in written[:-1]) <= 40, "the terminal would break it anywhere"


@pytest.mark.parametrize("columns", WIDTHS)
def test_bench_shows_a_row_for_each_level(columns: int) -> None:
    with serving(GOOD) as (url, _):
        screen = shown("bench", url, "--streams", "1,2", "--requests", "2", columns=columns)
    assert screen.status == 0
    rows = [line.split()[0] for line in screen.lines if re.match(r" *\d", line)]
    assert rows == ["1", "2"]
    assert screen.lines[-1].startswith("warm-up: first byte ")
    assert "0/2" not in screen.text  # the progress is gone


@pytest.mark.parametrize("columns", WIDTHS)
def test_speak_tells_the_audio_and_the_real_time_factor(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "a.wav"
    screen = shown("speak", "Hello.", "-o", str(path), columns=columns, **TONE)
    assert screen.status == 0
    assert re.search(r"a\.wav: 0\.5 s of audio in \d+\.\d s, RTF \d+\.\d\d$", words(screen))
    assert "%" not in screen.text  # the progress is gone
    assert re.search(r"\d s of audio, RTF", screen.raw)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    "arguments", [("models",), ("text", "It costs $5. Good!"), ("voices", "show", "alloy")]
)
def test_other_commands_succeed(arguments: tuple[str, ...], columns: int) -> None:
    assert shown(*arguments, columns=columns, **TONE).status == 0


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("voice", ["nobody", "no\x1b[2Jbody"])
def test_errors_are_wrapped_between_words(columns: int, voice: str) -> None:
    screen = shown("speak", "Hi.", "-o", "a.wav", "--voice", voice, columns=columns, **TONE)
    assert screen.status == 1
    shown_name = voice.replace("\x1b", "\ufffd")
    assert words(screen).startswith(f"Error: The voice '{shown_name}' does not exist. There are: ")
    assert "sine" in re.split("[, .]+", words(screen))
    assert max(map(len, screen.lines)) < columns


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize(
    "arguments",
    [
        ("voices",),
        ("check",),
        ("text", "Hello there. Good!"),
        ("check", "--url", "http://127.0.0.1:9"),
    ],
)
def test_no_colours_where_they_are_not_wanted(
    arguments: tuple[str, ...], variable: dict[str, str]
) -> None:
    assert not shown(*arguments, columns=80, **TONE, **variable).coloured


@pytest.mark.parametrize("arguments", [("voices", "--json"), ("bench", "--json")])
def test_json_has_no_colours_on_a_terminal_either(arguments: tuple[str, ...]) -> None:
    with serving(GOOD) as (url, _):
        if arguments[0] == "bench":
            arguments = (*arguments, url, "--streams", "1", "--requests", "1")
        screen = shown(*arguments, columns=80, **TONE)
    assert (screen.status, screen.coloured) == (0, False)
    assert '"object": "list"' in screen.text


def test_rich_is_not_imported_for_a_pipe() -> None:
    script = (
        "import sys; from voxcpm_openai.cli import main\n"
        "main(['voices'], standalone_mode=False)\n"
        "assert 'rich' not in sys.modules and 'sounddevice' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
