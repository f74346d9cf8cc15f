"""A text in Spanish becomes words and marks of pauses."""

from __future__ import annotations

from voxcpm_openai.spanish.dates import DATES, TIMES
from voxcpm_openai.spanish.quantities import MEASURES, NUMBERS, RANGES
from voxcpm_openai.spanish.signs import ABBREVIATIONS, SIGNS, digits_of, finish

# Dates have marks that are signs elsewhere, and a sum is read with its currency.
GROUPS = (TIMES, ABBREVIATIONS, DATES, RANGES, MEASURES, SIGNS, NUMBERS)
"""The order matters: what is more particular comes first."""


def to_words(text: str) -> str:
    """Return a text as words and marks of pauses: no digit, sign or bracket.

    Dates have the day before the month, and nouns decide the gender of a number before them.
    Numbers are read as they are written in Spain and most of America: a full stop or space
    between thousands, a comma before decimals; "1,234.5" is understood, too.  Plain prose comes
    out as it is.  Takes time in proportion to the length.
    """
    text = digits_of(text)
    for group in GROUPS:
        text = group.apply(text)
    return finish(text)
