"""Words to hibari's phonemes: its pronunciation step without its own text rules."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from voxcpm_openai.contracts import Pronunciation, Segment

logger = logging.getLogger(__name__)

LONGEST = 400
"""The most phonemes that the network is given at once; it was trained on up to 510."""

_SPELLED = re.compile("([A-Z](?:\u00a0[A-Z])+)('?s\\b)?|(?<![\\w'])([A-Z])(?=\\.)")
"""Letters of one abbreviation, joined by no-break spaces, with the ending ``s`` or ``'s``; and a
letter at the end of a sentence, which would be taken for an initial."""
_LINK_MARKS = re.compile(r"[\[\]()/]")
_LATIN = re.compile(r"LATIN (?:SMALL|CAPITAL|LETTER SMALL CAPITAL) ?(?:LETTER )?([A-Z]{1,2})\b")
# Where phonemes may be cut, the best places first.
_CUTS = (re.compile(r"(?<=[,;:.!?…—]) "), re.compile(" "))

# IPA to the alphabet of misaki, which hibari's network knows.  Order matters.
_FROM_IPA = (
    ("\u0361", ""),
    ("\u035c", ""),
    (".", ""),
    ("ˑ", "ː"),
    ("'", "ˈ"),
    ("g", "ɡ"),
    ("r", "ɹ"),
    ("ɫ", "l"),
    ("tʃ", "ʧ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("ɔɪ", "Y"),
    ("əʊ", "O"),
    ("oʊ", "O"),
    ("ɝː", "ɜɹ"),
    ("ɝ", "ɜɹ"),
    ("ɚ", "əɹ"),
    ("ɜː", "ɜɹ"),
    ("iː", "i"),
    ("uː", "u"),
    ("ɑː", "ɑ"),
    ("ɔː", "ɔ"),
    ("eː", "A"),
    ("oː", "O"),
    ("ː", ""),
    ("ɾ", "T"),
    ("ɨ", "ɪ"),
    ("ʉ", "u"),
    ("y", "u"),
    ("ø", "ɜ"),
    ("œ", "ɜ"),
    ("a", "ɑ"),
    ("e", "ɛ"),
    ("o", "ɔ"),
    ("ɒ", "ɑ"),
    ("x", "k"),
    ("ʁ", "ɹ"),
    ("ɲ", "nj"),
    ("ʎ", "lj"),
    ("ʔ", "t"),
)


class Phonemizer:
    """Turns segments of words into phonemes.

    It passes hibari's normalisation by: that reads "no." as "number" and "book I" as "book one".
    """

    def __init__(self, hibari: Any) -> None:
        """``hibari``: a loaded ``hibari.Hibari``."""
        self._g2p = hibari.g2p
        self._vocab = set(hibari.vocab)
        self._g2p.oov("hibari")  # loaded at first use
        # Words are no abbreviations: "Jan." is a name and a full stop.
        special = self._g2p.tokenizer.special
        self._g2p.tokenizer.special = {k: v for k, v in special.items() if "." not in k}

    def __call__(self, segment: Segment) -> list[str]:
        """Return the phonemes of a segment, in one piece unless it has more than ``LONGEST``."""
        text = self._linked(segment.text, segment.pronunciations)
        return list(_cut(self._phonemes(text)))

    def from_ipa(self, ipa: str) -> str:
        """Return IPA in hibari's alphabet; what it has no sound for is left out."""
        text = unicodedata.normalize("NFC", ipa.strip(" /[]"))
        for symbol, phonemes in _FROM_IPA:
            text = text.replace(symbol, phonemes)
        return "".join(char for char in text if char in self._vocab)

    def _phonemes(self, text: str) -> str:
        for attempt in (text, _plain(text)):
            try:
                return str(self._g2p(attempt, normalize_text=False))
            except Exception:  # the rules of a package meet any text; plain letters always work
                logger.exception("hibari cannot read %d characters", len(text))
        return ""

    def _linked(self, text: str, pronunciations: Sequence[Pronunciation]) -> str:
        """Return the text with pronunciations in misaki's notation: ``[word](/phonemes/)``."""
        parts, done = [], 0
        for part in pronunciations:
            phonemes = self.from_ipa(part.ipa)
            word = _LINK_MARKS.sub("", text[part.start : part.end])
            if phonemes and word:
                parts += [self._words(text[done : part.start]), f"[{word}](/{phonemes}/)"]
                done = part.end
        return "".join([*parts, self._words(text[done:])])

    def _words(self, text: str) -> str:
        """Return words that hibari can read: known letters, and abbreviations with phonemes."""
        text = _LINK_MARKS.sub(" ", "".join(map(_known, text)))
        return _SPELLED.sub(self._spelled, text)

    def _spelled(self, match: re.Match[str]) -> str:
        letters = (match[1] or match[3]).replace("\u00a0", "")
        phonemes, _ = self._g2p.lexicon.get_NNP(letters)
        if match[2]:
            phonemes = self._g2p.lexicon._s(phonemes)
        return f"[{letters}](/{phonemes}/)" if phonemes else match[0]


def _known(char: str) -> str:
    """Return a letter of a word that hibari may not know in letters that it does."""
    if char.isascii() or char < "\u0180" or not char.isalpha():
        return char
    latin = _LATIN.match(unicodedata.name(char, ""))
    return latin[1].lower() if latin else char


def _plain(text: str) -> str:
    """Return a text in plain letters, without anything that could be a form of its own."""
    folded = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() and (c.isalpha() or c in " ,.!?'") else " " for c in folded)


def _cut(phonemes: str) -> Iterator[str]:
    """Yield the phonemes in pieces of at most ``LONGEST``, cut at pauses, else between words."""
    while len(phonemes) > LONGEST:
        ends = [[m.end() for m in cut.finditer(phonemes, 1, LONGEST)] for cut in _CUTS]
        end = next((found[-1] for found in ends if found), LONGEST)
        yield phonemes[:end].strip()
        phonemes = phonemes[end:]
    if phonemes.strip():
        yield phonemes
