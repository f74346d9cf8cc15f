"""Validation of names and other short texts: any script, one line, no invisible characters."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.errors import InvalidRequest

MAX_NAME = 100
"""The longest name of a voice or a consent, in characters."""
MAX_DESCRIPTION = 500
MAX_PROMPT = 2000
"""The longest prompt of a designed voice, as OpenAI has it."""
MAX_TRANSCRIPT = 2000
"""A minute of fast speech has about 1200 characters."""

LANGUAGE = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z"
"""A language code of BCP 47, such as ``en`` or ``en-US``."""

FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that are not allowed: controls, surrogates, private use, line ends."""
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional controls, which make a line look different from what it is."""


def name(text: str) -> str:
    """Return a name as it is stored: trimmed, in Unicode's form NFC.

    Raises InvalidRequest if it is empty, too long, or has control characters.
    """
    return _line(text, "name", MAX_NAME, min_length=1)


def description(text: str, *, min_length: int = 0) -> str:
    """Return a description as it is stored, on one line.  Raises as ``name`` does."""
    return _line(" ".join(text.split()), "description", MAX_DESCRIPTION, min_length=min_length)


def prompt(text: str) -> str:
    """Return what a voice is designed from as it is stored, on one line.  Raises as ``name``."""
    return _line(" ".join(text.split()), "prompt", MAX_PROMPT, min_length=1)


def transcript(text: str) -> str:
    """Return a transcript as it is stored, on one line.  Raises as ``name`` does."""
    return _line(" ".join(text.split()), "transcript", MAX_TRANSCRIPT)


def language(text: str) -> str:
    """Return a language code; it may be empty.  Raises InvalidRequest."""
    if text and not re.match(LANGUAGE, text):
        raise InvalidRequest(
            f"'{text}' is not a language code such as 'en' or 'en-US'.", param="language"
        )
    return text


def _line(text: str, param: str, max_length: int, min_length: int = 0) -> str:
    line = unicodedata.normalize("NFC", text.strip())
    if not min_length <= len(line) <= max_length:
        raise InvalidRequest(
            f"'{param}' must have {min_length} to {max_length} characters, not {len(line)}.",
            param=param,
        )
    for character in line:
        if character in DIRECTIONS or unicodedata.category(character) in FORBIDDEN:
            raise InvalidRequest(
                f"'{param}' has the control character U+{ord(character):04X}. Letters, digits, "
                "symbols and spaces of any script are allowed.",
                param=param,
            )
    return line
