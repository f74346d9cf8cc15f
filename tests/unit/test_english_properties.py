"""What holds for every text that becomes English words."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.english.words import to_words

LOWER = (
    "the a of to and in it was he she they we you not that this with for on at by from as but or"
    " all there when who will can no so up out if about which time year way day thing man world"
    " life hand part child eye woman place work week case point company number fig sat sun art max"
    " gen may mark am us fir min sec vol civil mix mild livid vivid don't can't it's we're they've"
    " dogs' well-known long-term state-of-the-art x-ray e-mail o'clock naïve café ill dill xi's"
).split()
NAMES = (
    "Mark Mary Will May Victor Charles Louis Henry Max Art Gene Jan Sun Queen King O'Brien McDonald"
    " Jean-Luc Smith-Jones Paris Berlin London Monday March June Elizabeth Vivian Mali Dix".split()
)
SPOKEN_SIGNS = "$€£¥₹%°=+×÷±≤≥≠≈√∞&@§#½¼¾π"


@st.composite
def plain_prose(draw: st.DrawFn) -> str:
    """Return sentences of words and names with ordinary punctuation."""
    words = st.sampled_from(LOWER + NAMES + ["I think", "I'm", "I'll"])
    sentences = []
    for _ in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(words, min_size=2, max_size=12))
        marks = draw(st.lists(st.sampled_from(["", "", "", ",", ";", " —", ":"]), min_size=12))
        middle = [word + mark for word, mark in zip(chosen[:-1], marks, strict=False)]
        end = draw(st.sampled_from(".!?"))
        sentence = " ".join([*middle, chosen[-1]]) + end
        sentences.append(sentence[0].upper() + sentence[1:])
    return " ".join(sentences)


WRITTEN = st.sampled_from(
    "$5|5%|3.5|1,234|10-20|-7|5°C|3/4|2½|10⁶|x²|12:30|5pm|9/11|1999|1990s|24/7|No. 5,|Fig. 3"
    "|Dr. Smith|Main St.|etc.|e.g.|the U.S.|J.K. Rowling|CO2|C#|MP3|NASA|FBI|555-0199|v2.0|#1"
    "|a@b.co|x.py|R&D|km/h|5 km|salt & pepper|2 + 2 = 4|Rocky IV|Henry XIV|'quoted'|\"so\"|…|--|–"
    "|( yes )|0042|4K|10x|3-1|¥500|12kWh|π ≈ 3|A-Z|and/or|I/O|STOP NOW|Mon-Fri|Jan. 5|p. 7|5'10\""
    "|<5|~3|+1|5 a.m.|".split("|")
)
MIXED = st.lists(st.one_of(WRITTEN, st.sampled_from(LOWER + NAMES)), max_size=14).map(" ".join)
TURNS = st.lists(st.builds("{} {}".format, st.sampled_from(LOWER), WRITTEN), max_size=7).map(
    " ".join
)
ANY_TEXT = st.text(st.characters(max_codepoint=0x1FFFF), max_size=300)
DENSE = st.text(
    "0123456789.,:;/-–−+*'\"()$€%°²⁻½ aAbBcCdDiIvVxXmMsSkKtThHpP#&@_=<>\n", max_size=300
)


@given(plain_prose())
@settings(max_examples=300)
def test_plain_prose_comes_out_unchanged(text: str) -> None:
    assert to_words(text) == text


@given(st.one_of(ANY_TEXT, DENSE, MIXED))
@settings(max_examples=600, deadline=None)
def test_only_letters_and_marks_of_pauses_come_out(text: str) -> None:
    spoken = to_words(text)
    assert all(char.isalpha() or char in "'.,;:!?…—- \u00a0" for char in spoken)
    assert "  " not in spoken
    assert spoken == spoken.strip()


@given(st.one_of(ANY_TEXT, DENSE))
@settings(max_examples=400, deadline=None)
def test_what_can_be_said_is_said(text: str) -> None:
    spoken = any(char.isalpha() for char in to_words(text))
    if any(char.isascii() and char.isalnum() for char in text):
        assert spoken
    if any(char in SPOKEN_SIGNS for char in text):
        assert spoken


@given(TURNS)
@settings(max_examples=400, deadline=None)
def test_words_are_not_read_again(text: str) -> None:
    spoken = to_words(text)
    assert to_words(spoken) == spoken


NUMBERS = st.one_of(
    st.integers(0, 10**17).map(str),
    st.decimals(0, 10**6, places=2).map(str),
    st.integers(1000, 10**9).map("{:,}".format),
)
WORD = re.compile(
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twel|teen|twent|thirt|fort"
    "|fift|eigh|ninet|first|second|third|half|quarter"
)


@given(
    NUMBERS,
    st.sampled_from(["", "-", "+", "$", "#", "(", "~", "v", "No. ", "<", "±", "'", '"', "=", "x"]),
    st.sampled_from(
        ["", "%", " km", "th", "°", "s", "!", ")", "x", "k", "'", '"', "-", "/", ":", "?"]
    ),
    st.sampled_from(["", "the ", "in ", "of ", "is ", "said ", "page ", "Room "]),
    st.sampled_from(["", " of it", " people", ", then", ". The", "-based", " - no", "."]),
)
@settings(max_examples=600, deadline=None)
def test_no_number_is_lost(number: str, sign: str, unit: str, before: str, after: str) -> None:
    assert WORD.search(to_words(before + sign + number + unit + after))
