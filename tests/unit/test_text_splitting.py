"""Splitting of text into segments: where it is cut, pauses, lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sentences import SENTENCES
from voxcpm_openai.text import split
from voxcpm_openai.text.split import weight

SPLITS = [
    ("", []),
    (" \n ", []),
    (".", ["."]),
    ("Hi. Yes.", ["Hi.", "Yes."]),
    ("Wait... What?! No… Oh.", ["Wait...", "What?!", "No…", "Oh."]),
    ("Wait... what? he said.", ["Wait... what? he said."]),
    ("Dr. Smith met Mr. and Mrs. Jones on Main St. Anna.", None),
    ("Use e.g. Tom or i.e. that, etc. and so on vs. Them all.", None),
    ("See No. 5 and Fig. 3 on Jan. 4 at 3.14 or v1.2.", None),
    ("I said No. Then left.", ["I said No.", "Then left."]),
    ("J. K. Rowling and the U.S. Army at 5 p.m. Monday", None),
    ("He left the U.S. The end.", ["He left the U.S.", "The end."]),
    ("Take vitamin C. It helps.", ["Take vitamin C.", "It helps."]),
    ("“Stop!” he cried. “Why?” “No.”", ["“Stop!” he cried.", "“Why?”", "“No.”"]),
    ("(Really.) Yes.", ["(Really.)", "Yes."]),
    ("1. First\n2. Second", ["1. First", "2. Second"]),
    ("You are 1. Then me.", ["You are 1.", "Then me."]),
    ("你好！世界。“再见？”好", ["你好！", "世界。", "“再见？”", "好"]),
    ("我用GPT!真好.是吗", ["我用GPT!", "真好.", "是吗"]),
    ("Yahoo! is a. b", ["Yahoo! is a. b"]),
    ("Hi. ) — Yes. —", ["Hi.", ") — Yes. —"]),
    ("Hi. )", ["Hi. )"]),
    ('— Hi.\n\n"\n\nYes.', ['— Hi. "', "Yes."]),
]


@pytest.mark.parametrize(("text", "parts"), SPLITS)
def test_split_at_sentences(text: str, parts: list[str] | None) -> None:
    assert [segment.text for segment in split(text)] == ([text] if parts is None else parts)


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("One. Two", [0.35, 0]),
        ("One\nTwo.\nThree", [0.45, 0.35, 0]),
        ("One.\n\nTwo\n \nThree\n\n", [0.7, 0.7, 0]),
        ("a" * 100 + ", " + "b" * 200 + " " + "c" * 100, [0.12, 0, 0]),
        ("a" * 100 + " — " + "b" * 200, [0.12, 0]),
        ("长" * 30 + "，" + "长" * 70, [0.12, 0]),
    ],
)
def test_pauses(text: str, pauses: list[float]) -> None:
    assert [segment.pause for segment in split(text)] == pauses


def test_the_first_segment_is_short() -> None:
    whole = "a" * 118 + "."
    assert split(whole + " B.")[0].text == whole
    assert weight(split("word " * 40)[0].text) <= 120
    assert [len(s.text) for s in split("a" * 130 + " " + "b" * 50)] == [181]
    assert split("Yes, " + "word " * 25)[0].text != "Yes,"


def test_long_sentences_are_cut() -> None:
    segments = split("word " * 900)
    assert len(segments) > 15
    assert {word for s in segments for word in s.text.split()} == {"word"}
    assert [len(s.text) for s in split("a" * 500)] == [240, 240, 20]
    assert max(len(s.text) for s in split("长" * 500)) == 80


def test_no_very_short_segment_is_left() -> None:
    assert min(len(s.text) for s in split("x. " + "word " * 47 + "to it")[1:]) > 10


@given(
    st.text(alphabet=st.one_of(st.sampled_from(' .\n,!?…。，’"(a-—\u0301你B1'), st.characters())),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_split_loses_nothing(text: str, limit: int, first: int) -> None:
    segments = split(text, None, limit, first)
    assert "".join("".join(s.text for s in segments).split()) == "".join(text.split())
    assert all(weight(s.text) <= max(limit, 3) for s in segments)
    assert all(s.text.strip() == s.text != "" for s in segments)
    assert not segments or segments[-1].pause == 0


@given(SENTENCES)
def test_the_first_segment_obeys_its_limit(text: str) -> None:
    assert all(len(segment.text) <= 30 for segment in split(text, None, 60, 30)[:1])
