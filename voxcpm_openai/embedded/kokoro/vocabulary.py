"""Kokoro's phonemes: the symbols that the network knows, and their ids.

The alphabet is misaki's: IPA with single letters for diphthongs (``A I O W Y``) and affricates
(``ʤ ʧ``), arrows for the tones of Mandarin (``→ ↗ ↓ ↘``), and punctuation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

LONGEST = 510
"""The most phonemes that the network takes at once."""

# Where phonemes may be cut, the best places first.
_CUTS = (re.compile(r"(?<=[;:,.!?…—]) "), re.compile(" "))


@cache
def symbols() -> dict[str, int]:
    """Return the ids of the symbols, 1 to 177; 0 is the pad at either end."""
    file = resources.files(__package__) / "vocabulary.json"
    found: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return found


def ids_of(phonemes: str) -> list[int]:
    """Return the ids of phonemes; what the network does not know is left out."""
    known = symbols()
    return [known[symbol] for symbol in phonemes if symbol in known]


def has_sound(phonemes: str) -> bool:
    """Return whether there is a letter in it that the network speaks."""
    return any(symbol.isalpha() and symbol in symbols() for symbol in phonemes)


def parts(phonemes: str, most: int = LONGEST) -> Iterator[str]:
    """Cut phonemes into parts of at most ``most``, after punctuation or between words."""
    while len(phonemes) > most:
        at = _cut_place(phonemes, most)
        yield phonemes[:at]
        phonemes = phonemes[at:]
    yield phonemes


def _cut_place(phonemes: str, most: int) -> int:
    for pattern in _CUTS:
        # The first third is too short to be worth a part of its own.
        places = [found.end() for found in pattern.finditer(phonemes, most // 3, most)]
        if places:
            return places[-1]
    return most
