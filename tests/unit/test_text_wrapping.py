"""Lines that a page or a column broke are joined; those of a poem stay."""

import pytest

from voxcpm_openai.text import clean

COLUMN = """The quick brown fox jumped over
the lazy dog and then went home
because it had become very late
in the day."""
NARROW = """when we came to the
house there was no
light in any window
and the door stood
open. We went in."""
POEM = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;"""
FREE_VERSE = """so much depends upon it
a red wheel barrow
glazed with rain water
beside the white chickens"""
LIST = """two large onions, chopped
one clove of garlic
half a cup of olive oil"""


@pytest.mark.parametrize("text", [COLUMN, NARROW])
def test_columns_are_joined(text: str) -> None:
    assert clean(text) == text.replace("\n", " ")


@pytest.mark.parametrize("text", [POEM, FREE_VERSE, LIST, "Hello my dear old friend\nhow are you"])
def test_lines_stay(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("This is the most interna-\ntional of towns", "This is the most international of towns"),
        ("He is a truly well-\nknown man", "He is a truly well-known man"),
        ("It is a state-of-the-\nart machine", "It is a state-of-the-art machine"),
        ("A right-angle, and a right-\nangle is", "A right-angle, and a right-angle is"),
        ("Die Donaudampfschiff-\nfahrt ist", "Die Donaudampfschifffahrt ist"),
        ("x" * 50 + " newline-\nterminated", "x" * 50 + " newline-terminated"),
        ("This is a long line with a-\nBig word", "This is a long line with a-\nBig word"),
    ],
)
def test_hyphens(text: str, said: str) -> None:
    assert clean(text) == said
