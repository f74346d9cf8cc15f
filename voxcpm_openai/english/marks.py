"""Quotation marks, apostrophes, dashes and brackets; and what is left when all rules have run."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.english.numbers import cardinal, digits
from voxcpm_openai.english.rule import RuleGroup, rule

QUOTES = RuleGroup(
    re.compile(r"[‘’\"“”„‟«»‹›`´′ʼ…]|\.\.|\. \.|'"),
    (
        rule(r"[’ʼ`´](?=\w)|(?<=[^\W\d])′(?=\w)", "'", ("I don’t", "I don't")),
        rule(r"(?<=\w)’", "'", ("the dogs’ bones", "the dogs' bones")),
        rule(r"(?<!\w)['‘]n['’]?(?!\w)", "and", ("rock 'n' roll", "rock and roll")),
        rule(r"\. ?\.(?: ?\.)+|…", "…", ("Well...", "Well…")),
    ),
)
"""Runs first: apostrophes are told from quotation marks."""

_KEPT = "'.,;:!?—…- \u00a0"
_PLAIN = re.compile(r"[A-Za-z',;:.!?—… \u00a0-]*")
_FINISHED = re.compile(r"[A-Za-z](?:[A-Za-z'.,;!?:]|-(?=[A-Za-z])| (?=[A-Za-z]))*(?<![,;:])")
"""What needs nothing more."""

_BRACKETS = re.compile(r"\s*[()\[\]{}]+\s*")
_ANY_DASH = re.compile(r"[–—]|-(?!\w)|(?<!\w)-")
_DASH = re.compile(r"\s*[–—]\s*|\s+-+\s+|-{2,}|(?<!\w)-+|-+(?!\w)")

# The apostrophe of "dogs'" stays, unless it closes a quotation: 'all the dogs'.
_ANY_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)|[\"“”„‟«»‹›‘’]")
_CLOSED = re.compile(r"(?<!\w)'(?=\w)((?:[^']|\w'\w)*)'(?!\w)")
_QUOTED = re.compile(r"(?<!\w)'+|'+(?!\w)(?<!s')|[\"“”„‟«»‹›‘’]")

# Of several marks in a row the strongest, or the last, stays.
_ANY_PUNCTUATION = re.compile(r"[,;:.!?…—]\s*[,;:.!?…—]")
_PUNCTUATION = re.compile(r"\s*([,;:—])\s*(?=[,;:.!?…])|(?<=[.!?…])\s*[,;:](?=\s|$)")
_INNER_DOT = re.compile(r"(?<=\w)\.(?=\w)")
_SPACES = re.compile(r" {2,}|\s*[\t\n\r\f\v]\s*")
_SPACE_BEFORE = re.compile(r" (?=[.,;:!?…])")
_NO_SPACE_AFTER = re.compile(r"(?<=[,;:!?…])(?=\w)")

_LEFT_DIGITS = re.compile(r"\d+")
_LATIN = str.maketrans(
    {
        "ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "œ": "oe",
        "Œ": "Oe", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h",
    }
)  # fmt: skip


def finish(text: str) -> str:
    """Return a text without what is left of digits, signs and quotation marks."""
    if _FINISHED.fullmatch(text):
        return text
    text = _BRACKETS.sub(", ", text)
    if _ANY_DASH.search(text):
        text = _DASH.sub(_dash, text)
    if _ANY_QUOTE.search(text):
        text = _QUOTED.sub("", _CLOSED.sub(r"\1", text))
    if not _PLAIN.fullmatch(text):
        text = _LEFT_DIGITS.sub(lambda m: f" {_any_digits(m[0])} ", text)
        text = unicodedata.normalize("NFC", text.translate(_LATIN))
        text = "".join(map(_letter, text))
    text = _SPACE_BEFORE.sub("", _SPACES.sub(" ", text))
    text = _INNER_DOT.sub(" dot ", text)
    if _ANY_PUNCTUATION.search(text):
        text = _PUNCTUATION.sub("", text)
    return _NO_SPACE_AFTER.sub(" ", text).strip(" ,;:—-")


def _dash(match: re.Match[str]) -> str:
    return "" if match[0] == "-" else " — "


def _letter(char: str) -> str:
    """Return a letter or a mark as it is, a number of another script in words, or a space."""
    if char.isalpha() or char in _KEPT:
        return char
    category = unicodedata.category(char)
    if category == "Mn":
        return ""
    # Raised numbers that are no powers are footnotes.
    if category in ("No", "Nl") and not unicodedata.decomposition(char).startswith("<super>"):
        value = unicodedata.numeric(char)
        if value == int(value):
            return f" {cardinal(str(int(value)))} "
    return " "


def _any_digits(text: str) -> str:
    """Return digits of any script one by one."""
    return digits("".join(str(unicodedata.digit(char, 0)) for char in text))
