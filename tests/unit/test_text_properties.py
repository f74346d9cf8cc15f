"""Any text is cleaned and split: nothing raises, nothing is lost, the limits hold."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sentences import SENTENCES, WORDS
from voxcpm_openai.text import clean, foreign_letters, lead, speakable, split
from voxcpm_openai.text.marks import Marks, Pause, Phonemes, Rate
from voxcpm_openai.text.split import weight

MARKS = st.one_of(
    st.builds(Pause, st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    st.builds(Rate, st.sampled_from([0.5, 1.0, 2.0])),
    st.builds(Phonemes, WORDS, st.just("a")),
)
PIECES = st.lists(
    st.one_of(MARKS, WORDS, st.sampled_from(["Dr. ", ". ", "!", " ", "\n", "\n\n", *"。“”—"]))
)
TAGS = st.lists(
    st.sampled_from(
        "<break time='1s'/>|<break/>|<sub alias='x'>|</sub>|<say-as interpret-as='characters'>"
        "|</say-as>|<phoneme ph='x'>|</phoneme>|<prosody rate='slow'>|</prosody>|<p>|</p>|<s>|</s>"
        "|<speak>|</speak>|<!--|-->|[pause:1s]|<b>|``|`|a|B|.|, |\n|*|[1]|²|<rt>|</ruby>|&lt;| "
        "|:a:|<@1>|==|--| - |\\n".split("|")
    )
)


def assert_segments(text: str, marks: Marks | None, limit: int = 240) -> None:
    """Check what holds of the segments of every text."""
    segments = split(text, marks, limit, limit // 2)
    kept = [c for c in text if marks is None or not isinstance(marks.get(c), Pause | Rate)]
    assert "".join("".join(s.text for s in segments).split()) == "".join("".join(kept).split())
    for segment in segments:
        assert segment.text.strip() == segment.text != ""
        assert weight(segment.text, marks) <= max(limit, 3) or len(segment.text) == 1
        assert 0 <= segment.pause <= 10
        assert 0.25 <= segment.rate <= 4


@given(PIECES, st.integers(20, 60))
def test_split_loses_only_space_and_marks(pieces: list[object], limit: int) -> None:
    marks = Marks()
    text = "".join(p if isinstance(p, str) else marks.add(p) for p in pieces)
    assert_segments(text, marks, limit)


@given(st.lists(st.tuples(WORDS, st.sampled_from([0.0, 0.5, 1.0, 2.0]))), st.sampled_from([0, 1]))
def test_pauses_add_up(words: list[tuple[str, float]], first: int) -> None:
    marks = Marks()
    start = marks.add(Pause(first))
    text = start + " ".join(f"{word} {marks.add(Pause(seconds))}" for word, seconds in words)
    total = lead(text, marks) + sum(segment.pause for segment in split(text, marks))
    assert total == first + sum(seconds for _, seconds in words)


@given(SENTENCES)
def test_marks_change_nothing_where_there_are_none(text: str) -> None:
    assert split(text, Marks()) == split(text)
    assert clean(text, Marks()) == clean(text)


@given(TAGS)
def test_any_tags(pieces: list[str]) -> None:
    text = "".join(pieces)
    clean(text)
    marks = Marks()
    assert_segments(clean(text, marks), marks)


def _assert_spoken(text: str) -> None:
    marks = Marks()
    cleaned = clean(text, marks)
    speakable(cleaned)
    foreign_letters(cleaned, ("en",))
    assert_segments(cleaned, marks)


def test_every_character() -> None:
    """Every character in some text, and each eighth alone."""
    for code in range(0, 0x20000, 8):
        _assert_spoken(chr(code))
        _assert_spoken("".join(map(chr, range(code, code + 8))))


@pytest.mark.parametrize("seed", range(3))
def test_many_characters_to_a_text(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        top = chance.choice([0x80, 0x250, 0x3000, 0x20000, sys.maxunicode + 1])
        _assert_spoken("".join(chr(chance.randrange(top)) for _ in range(chance.randrange(200))))
