"""Names and other short texts that people give: any script, one line, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.errors import InvalidRequest

MAX_NAME = 100
"""The longest name of a voice or a consent, in characters."""
MAX_DESCRIPTION = 500
MAX_TRANSCRIPT = 2000
"""A minute of fast speech has about 1200 characters."""

LANGUAGE = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z"
"""A language code of BCP 47, such as ``en`` or ``en-US``."""

FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
"""Unicode's categories of what is no character of a line: controls, halves of pairs, line ends."""
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a line read otherwise than it is stored."""


def name(text: str) -> str:
    """Return a name as it is kept: trimmed, in Unicode's form NFC.

    Raises InvalidRequest for one that is empty, too long, or holds control characters.
    """
    return _line(text, "name", MAX_NAME, least=1)


def description(text: str, *, least: int = 0) -> str:
    """Return a description as it is kept, on one line.  Raises InvalidRequest as ``name`` does."""
    return _line(" ".join(text.split()), "description", MAX_DESCRIPTION, least=least)


def transcript(text: str) -> str:
    """Return a transcript as it is kept, on one line.  Raises InvalidRequest as ``name`` does."""
    return _line(" ".join(text.split()), "transcript", MAX_TRANSCRIPT)


def language(text: str) -> str:
    """Return a language code, or the empty text for none.  Raises InvalidRequest."""
    if text and not re.match(LANGUAGE, text):
        raise InvalidRequest(
            f"'{text}' is not a language code such as 'en' or 'en-US'.", param="language"
        )
    return text


def _line(text: str, param: str, longest: int, least: int = 0) -> str:
    kept = unicodedata.normalize("NFC", text.strip())
    if not least <= len(kept) <= longest:
        raise InvalidRequest(
            f"'{param}' must have {least} to {longest} characters, and has {len(kept)}.",
            param=param,
        )
    for character in kept:
        if character in DIRECTIONS or unicodedata.category(character) in FORBIDDEN:
            raise InvalidRequest(
                f"'{param}' holds the control character U+{ord(character):04X}; letters, digits, "
                "signs and spaces of any script are right.",
                param=param,
            )
    return kept
