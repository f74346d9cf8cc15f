"""Spanish words to Kokoro's phonemes, by the rules of the package piper-plus-g2p."""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from anyascii import anyascii

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("piper_plus_g2p", "num2words")
"""What is imported, here and for the words of numbers."""

_MARKS = ",.;:!?…—"
_TOKENS = re.compile(rf"[^\W\d_]+|[{_MARKS}]")
_OTHER_LETTERS = re.compile(r"[^\Wa-záéíóúüñ\d_]+")
_RESPELLED = (
    (re.compile("(m[eé])x(?=ic)|^(te|oa)x(?=a)"), r"\1\2j"),
    (re.compile("q(?!u)"), "k"),
)
"""Names whose x is a j, and a letter that the package has a sound for only before u."""
_VOWELS = "aeiou"
_MARK = re.compile(f"ˈ([^{_VOWELS}]+)")
_STRESSED_GLIDE = re.compile(rf"ˈ([iu])(?=[{_VOWELS}])")
_GLIDE = re.compile(rf"(?<!ˈ)([iu])(?=ˈ?[{_VOWELS}])")
_GLIDES = {"i": "j", "u": "w"}
_SOUNDS = (("tʃ", "ʧ"), ("rr", "r"))

_load = threading.Lock()


def missing() -> str | None:
    """Return the name of a package that is not installed, or None; imports nothing."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            return name.replace("_", "-")
    return None


@cache
def _rules() -> Callable[[str], list[str]]:
    """Return the package's function from a word to phonemes."""
    # It logs an error for each of its languages whose packages are not installed.
    logging.getLogger("piper_plus_g2p.registry").setLevel(logging.CRITICAL)
    from piper_plus_g2p.spanish import phonemize_spanish

    return phonemize_spanish


class SpanishPhonemizer:
    """Turns Spanish text of words, without digits and signs, into phonemes.

    The pronunciation is that of Latin America: c before e and i, and z, are s.  Any thread may use
    it.  The package is loaded at the first text, or by ``load``, once for all phonemizers.
    """

    def load(self) -> None:
        """Load the package, which takes half a second."""
        with _load:
            _rules()

    def __call__(self, text: str) -> str:
        """Return the phonemes of a text, with spaces between words and marks for pauses."""
        self.load()
        said = ""
        for token in _TOKENS.findall(text):
            if token in _MARKS:
                said += token
            elif sound := _word(token.lower()):
                said += f" {sound}" if said else sound
        return said.lstrip(" ,;:")


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    """Return the phonemes of a word in lower case; none of one in another script."""
    word = _OTHER_LETTERS.sub(lambda match: anyascii(match[0]).lower(), word)
    for pattern, spelling in _RESPELLED:
        word = pattern.sub(spelling, word)
    said = "".join(_rules()(word))
    for sound, symbol in _SOUNDS:
        said = said.replace(sound, symbol)
    said = _MARK.sub(r"\1ˈ", said).removesuffix("ˈ")
    return _with_glides(said, hiatus="í" in word or "ú" in word)


def _with_glides(said: str, *, hiatus: bool) -> str:
    """Return phonemes with glides before vowels, as the network knows them: "bˈuen" is "bwˈen".

    The package writes a diphthong as two vowels, and its mark of stress before the first.
    ``hiatus``: the stressed vowel has a written accent, and is none of a diphthong: "frío".
    """
    if not hiatus:
        said = _STRESSED_GLIDE.sub(lambda match: f"{_GLIDES[match[1]]}ˈ", said)
    return _GLIDE.sub(lambda match: _GLIDES[match[1]], said)
