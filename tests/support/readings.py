"""Tables of texts and what a person would say, and whether a spoken text is that.

A table is a file of tab-separated lines: the kind, the text, the reading.  A reading is words with
slots: in ``{minus|negative} twelve`` either word is right, in ``{and|} fifty`` the word may be left
out; ``||`` separates whole readings.

Compared are lower-case words, after what makes no difference to the ear is folded: "oh" and "o",
"metre" and "meter", "litre" and "liter", "et cetera" and "etcetera", "percents" and "percent",
hyphens and spaces, and "and" inside a number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SCALES = {"hundred", "thousand", "million"}
_NUMBERS = set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
    " hundred thousand million billion first second third fourth fifth sixth seventh eighth ninth"
    " tenth eleventh twelfth thirteenth".split()
)
_SAME = {"oh": "o", "percents": "percent"}


class Reading(NamedTuple):
    """A line of a table."""

    kind: str
    text: str
    spoken: str


def readings(path: Path) -> list[Reading]:
    """Return the lines of a table after its heading."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [Reading(*line.split("\t")) for line in lines]


def folded(text: str) -> str:
    """Return the words of a text, without differences that are not heard."""
    plain = text.lower().replace("’", "'").replace("-", " ")
    words = [word.strip("'") for word in re.findall("[a-z']+", plain)]
    words = [_SAME.get(word, word) for word in words if word]
    kept = [word for place, word in enumerate(words) if not _is_and_in_number(words, place)]
    text = " ".join(kept).replace("et cetera", "etcetera")
    return text.replace("metre", "meter").replace("litre", "liter")


def _is_and_in_number(words: list[str], place: int) -> bool:
    return (
        words[place] == "and"
        and 0 < place < len(words) - 1
        and words[place - 1] in _SCALES
        and words[place + 1] in _NUMBERS
    )


def alternatives(reading: str) -> Iterator[str]:
    """Yield every text that a reading stands for."""
    for whole in reading.split("||"):
        pieces = re.split(r"\{([^{}]*)\}", whole)
        choices = [piece.split("|") if place % 2 else [piece] for place, piece in enumerate(pieces)]
        yield from (folded(" ".join(chosen)) for chosen in itertools.product(*choices))


def is_read(spoken: str, reading: str) -> bool:
    """Return whether a spoken text is one of the alternatives."""
    return folded(spoken) in set(alternatives(reading))
