"""Pauses, quotation marks and brackets; and what is left when all rules have run."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.chinese.numbers import HAN, number

PAUSES = "，。！？；：、…—"
"""The marks of pauses that a text may have when it is words."""

PLAIN = re.compile(rf"(?:{HAN}|[{PAUSES}])*")
"""A text that is words already."""

_WIDE = str.maketrans(",!?;:", "，！？；：")
_QUOTES = re.compile(r"[\"“”„‟«»‹›「」『』《》〈〉`´]|(?<![A-Za-z])'|'(?![A-Za-z])")
_BRACKETS = re.compile(r"\s*[()\[\]{}【】〔〕〖〗（）［］｛｝]+\s*")
_ELLIPSIS = re.compile(r"\.{2,}|。{2,}")
_INNER_DOT = re.compile(r"(?<=\w)\.(?=[A-Za-z])")
_NAME_DOT = re.compile(rf"(?<={HAN})[·・](?={HAN})")
_DASH = re.compile(r"\s+-+\s+|-{2,}|(?<![A-Za-z])-+|-+(?![A-Za-z])")
_TILDE = re.compile("~+(.?)")
_SPACES = re.compile(r"\s+")
_SPACE_AT_MARK = re.compile(rf" ?([{PAUSES}]) ?")
_STRONGER = "[。！？；：、…—]"
_BESIDE = re.compile(f"，(?={_STRONGER})|(?<={_STRONGER})，")
_REPEATED = re.compile(r"([，。；：、])\1+")


def finish(text: str) -> str:
    """Return a text without what is left of quotation marks, brackets and signs."""
    text = _NAME_DOT.sub("", text)
    text = _SPACES.sub(" ", _QUOTES.sub("", text))
    text = _BRACKETS.sub(_bracket, text)
    text = _INNER_DOT.sub("点", _ELLIPSIS.sub("…", text))
    text = _TILDE.sub(_tilde, _DASH.sub(_dash, text))
    text = text.translate(_WIDE).replace(".", "。").replace("｡", "。").replace("､", "、")
    text = unicodedata.normalize("NFC", "".join(map(_letter, text)))
    text = _SPACE_AT_MARK.sub(r"\1", _SPACES.sub(" ", text))
    text = _REPEATED.sub(r"\1", _BESIDE.sub("", _REPEATED.sub(r"\1", text)))
    return text.lstrip(f" {PAUSES}").rstrip()


def _bracket(match: re.Match[str]) -> str:
    """Return a short pause for brackets inside a text."""
    return "，" if match.end() < len(match.string) else ""


def _tilde(match: re.Match[str]) -> str:
    """Return a pause between words."""
    return f"，{match[1]}" if match[1].isalnum() else match[1]


def _dash(match: re.Match[str]) -> str:
    """Return a pause for a dash between words; nothing for one that begins or ends the text."""
    inside = match.start() > 0 and match.end() < len(match.string)
    return "—" if inside else ""


def _letter(char: str) -> str:
    """Return a letter or a mark as it is, the number of a sign such as ① in words, or a space."""
    if char.isalpha() or char in PAUSES or char in "'-":
        return char
    category = unicodedata.category(char)
    if category in ("Mn", "Mc", "Cf"):
        return char if category != "Cf" else ""
    if category in ("No", "Nl"):
        value = unicodedata.numeric(char)
        return number(str(int(value))) if value == int(value) else " "
    return " "
