"""A text in Mandarin becomes Chinese characters and marks of pauses."""

from __future__ import annotations

from voxcpm_openai.chinese.characters import CHARACTERS, folded
from voxcpm_openai.chinese.dates import DATES
from voxcpm_openai.chinese.latin import ADDRESSES, LATIN
from voxcpm_openai.chinese.marks import PLAIN, finish
from voxcpm_openai.chinese.money import MONEY, PERCENT
from voxcpm_openai.chinese.phones import PHONES
from voxcpm_openai.chinese.quantities import ARITHMETIC, NUMERALS, QUANTITIES, SIGNED
from voxcpm_openai.chinese.signs import RAISED, SIGNS
from voxcpm_openai.chinese.times import TIMES
from voxcpm_openai.chinese.units import TEMPERATURES, UNITS

# The order matters: what is more particular comes first.  Signs that stand before a number are
# read before the numbers become characters.
GROUPS = (
    *(ADDRESSES, CHARACTERS),
    *(TIMES, DATES, PHONES),
    *(PERCENT, TEMPERATURES, SIGNED, MONEY, UNITS, RAISED, ARITHMETIC),
    *(LATIN, QUANTITIES, SIGNS, NUMERALS),
)


def to_words(text: str) -> str:
    """Return a text as characters and full-width marks of pauses: no digit, sign or bracket.

    Latin words and letters stay, with the hyphens and apostrophes inside them.  Plain prose comes
    out as it is.  Takes time in proportion to the length.
    """
    if PLAIN.fullmatch(text):
        return text
    text = folded(text)
    for group in GROUPS:
        text = group.apply(text)
    return finish(text)
