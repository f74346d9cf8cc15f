"""A text in English becomes words and marks of pauses."""

from __future__ import annotations

import re

from voxcpm_openai.english.abbreviations import ABBREVIATIONS, SHORT_FORMS
from voxcpm_openai.english.addresses import ADDRESSES
from voxcpm_openai.english.calendar_names import CALENDAR, SHORT_NAMES
from voxcpm_openai.english.capitals import CAPITALS
from voxcpm_openai.english.chat import CHAT
from voxcpm_openai.english.dates import DATES
from voxcpm_openai.english.formulas import FORMULAS
from voxcpm_openai.english.fractions import ALWAYS, FRACTIONS
from voxcpm_openai.english.initials import INITIALS
from voxcpm_openai.english.latex import LATEX
from voxcpm_openai.english.marks import QUOTES, finish
from voxcpm_openai.english.mathematics import MATHEMATICS
from voxcpm_openai.english.money import MONEY, RATES, SCALES
from voxcpm_openai.english.pairs import PAIRS
from voxcpm_openai.english.places import CLEAR_STATES, PLACES, SHORT_STATES
from voxcpm_openai.english.plurals import PLURALS
from voxcpm_openai.english.powers import POWERS
from voxcpm_openai.english.quantities import GROUPING, NUMERALS, QUANTITIES, SIGNED
from voxcpm_openai.english.roman import ROMAN
from voxcpm_openai.english.rule import alternatives
from voxcpm_openai.english.scripture import SCRIPTURE
from voxcpm_openai.english.sequences import PHONES, SEQUENCES
from voxcpm_openai.english.signs import SIGNS
from voxcpm_openai.english.times import TIMES
from voxcpm_openai.english.titles import SHORT_TITLES, TITLES
from voxcpm_openai.english.units import LONE_UNITS, UNITS
from voxcpm_openai.english.years import YEARS

# The order matters: what is more particular comes first.  Names of a form that only digits make
# are read after the numbers, signs after the formulas that hold them.
GROUPS = (
    QUOTES,
    *(LATEX, CHAT, ADDRESSES, PLACES, SCRIPTURE, TITLES, ABBREVIATIONS, CALENDAR, ROMAN),
    *(PAIRS, PLURALS, ALWAYS, GROUPING, MATHEMATICS, SIGNED, SCALES, UNITS, LONE_UNITS),
    *(DATES, TIMES, PHONES, SEQUENCES, YEARS),
    *(MONEY, RATES, FRACTIONS, POWERS, QUANTITIES),
    *(INITIALS, FORMULAS, CAPITALS, SIGNS, NUMERALS),
)

_SHORT = alternatives(SHORT_TITLES | SHORT_FORMS | SHORT_NAMES | CLEAR_STATES)
_STATES = alternatives(SHORT_STATES)
_WRITTEN = re.compile(
    r"[^A-Za-z'\s.,;:!?—“”\"‘’…-]|--|[A-Z](?=[A-Z.])|[a-z](?=[A-Z])|\.(?=[A-Za-z]| [a-z])"
    r"|[\w.] (?<!and )(?<!but )(?<!hat )(?<!hen )(?<!if )(?<!as )I\b"
    rf"|, (?:{_STATES})\.| [-–] [a-z]\b|-(?<!\w-)[a-z]\b"
    rf"|[a-z] [vx]\b"
    rf"|[A-F]-(?!\w)|\b(?:[B-HJ-Z]\b|[ivx]{{2,}}\b|(?:{_SHORT})\b)"
)
"""What a plain sentence has not: any other text passes all rules."""

_SPACE = re.compile(r"[\u1680\u2000-\u200a\u202f\u205f\u3000]|(?<![A-Z])\u00a0|\u00a0(?![A-Z])")
"""Spaces, but for those between letters that are read one by one."""


def read(text: str) -> str:
    """Return a text after all rules."""
    for group in GROUPS:
        text = group.apply(text)
    return text


def to_words(text: str) -> str:
    """Return a text as words and marks of pauses: no digit, sign, quotation mark or abbreviation.

    Letters that are read one by one are capitals; those of one abbreviation are joined by no-break
    spaces.  Plain prose comes out as it is.  Takes time in proportion to the length.
    """
    if not text.isascii():
        text = _SPACE.sub(" ", text)
    text = QUOTES.apply(text)
    return finish(read(text) if _WRITTEN.search(text) else text)
