"""Hostile text is cleaned, split and checked in linear time."""

import time

import pytest

from voxcpm_openai.text import clean, foreign_letters, split
from voxcpm_openai.text.marks import Marks, Pause, Phonemes, Rate

HOSTILE = [
    *"*_`[]()<>~#-+|$&!\\\n .\"',?…。/👍\u200d\u0301¹$",
    "!?x",
    "** a",
    "*a_b ",
    "` ``",
    "[a](b",
    "[a](x[a](y)z",
    "![[a]",
    "[^",
    "[a]: b/c\n",
    "<a ",
    "<!--",
    "<script>",
    "</x><x>",
    "&#x301;&#x315;",
    "```py\n",
    "````\n```\n",
    "|-|\n",
    "- \n",
    "> - # ",
    "https://a.b(",
    "a-",
    "1.",
    "5 $",
    "$_",
    "A. ",
    'Dr. "(',
    "a\u0315\u00ad\u0300",
    "\u2028\ue000 ",
    "¹² ",
    "word¹,",
    "(a)²",
    "((",
    "[1]",
    "a[1] ",
    "x.1",
    "ill.14,",
    "==a",
    "a==b ",
    "||a",
    "||",
    ":a:",
    ":a",
    " :a_",
    "<@1|",
    "<#1|a ",
    "<https://a|b ",
    "a`b",
    "a´",
    "` a",
    ". ",
    " - a",
    "a--",
    " -- ",
    "\\n",
    "C:\\n ",
    "a\\n",
    "<rt>",
    "<ruby><rp>",
    "<sup>1",
    "<sub alias='",
    "<sub alias='x'>a",
    "<sub alias='x'>a</sub>",
    "<say-as interpret-as='characters'>a ",
    "<say-as interpret-as='digits'>1</say-as>",
    "<phoneme ph='x'>a",
    "<phoneme ph='x'>a</phoneme>",
    "<prosody rate='slow'>a",
    "</prosody>",
    "<break time='1s'/>",
    "<break a=a ",
    "<break a='",
    "<break \"'",
    "[pause:1",
    "[pause:1s]",
    "\u200b",
    "U.S. ",
    "z. B. ",
    "3. ",
    "No. 5 ",
    "…",
    "a-\nb",
    "short lines of a column\n",
    "！a",
    "漢！",
    "a line that a column broke-\nand ",
    "long enough to be a wrapped line in an old and yellow letter\n",
]


def test_hostile_text_takes_linear_time() -> None:
    """Quadratic time would take minutes here, not seconds."""
    for piece in HOSTILE:
        text = "x" + piece * (40_000 // len(piece)) + "x"
        for part in (clean(text), text):
            assert "".join(s.text for s in split(part)).endswith("x")
            foreign_letters(part, ("en",))


@pytest.mark.parametrize("mark", [Pause(1.0), Rate(2.0), Phonemes("ab", "a")])
def test_many_marks_take_linear_time(mark: Pause | Rate | Phonemes) -> None:
    for between in ("", " ", "a", " a.", "\n"):
        marks = Marks()
        text = "x" + (marks.add(mark) + between) * 20_000 + "x"
        assert marks.plain(split(text, marks)[-1].text).endswith("x")


def test_prose_takes_linear_time() -> None:
    """Fifty times as much text may take a hundred times as long."""
    prose = "He said no. The U.S. President met J. R. Smith at 5 p.m. on Jan. 5 - a lot -- so. "

    def seconds(size: int) -> float:
        text = (prose * (size // len(prose) + 1))[:size]
        durations = []
        for _ in range(3):
            started = time.perf_counter()
            split(clean(text))
            durations.append(time.perf_counter() - started)
        return min(durations)

    assert seconds(200_000) < 100 * seconds(4_000)
