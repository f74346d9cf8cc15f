"""Characters on their way to an engine: odd forms made plain, what has no sound taken out."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.text.script import WIDE

GAP = "\ue000"
"""Stands where something without a sound was, until ``close_gaps``."""

_HIDDEN = {char: chr(0xF700 + ord(char)) for char in "`*_[]#+-.!|~<>$&="}
_HIDE = str.maketrans(_HIDDEN)
_SHOW = str.maketrans({hidden: char for char, hidden in _HIDDEN.items()})

# Forms of letters and digits that Unicode itself calls compatible with plain ones: ligatures,
# letterlike (ℝ, №, ℃; not ™ and ℠), fractions, Roman numerals, circled, radicals, units (㎏),
# half-width kana, Arabic shapes, the two-mark ‼, mathematical and squared letters.
_COMPATIBLE = re.compile(
    "[\u203c\u2047-\u2049\u2100-\u211f\u2121\u2123-\u214f\u2150-\u217f\u2189\u2460-\u24ea"
    "\u2f00-\u2fd5\u3200-\u33ff\ufb00-\ufdcf\ufe70-\ufefc\uff61-\uffdc\U0001d400-\U0001d7ff"
    "\U0001f100-\U0001f14f]+"
)
# Full-width letters, digits and signs are plain ones anywhere ...
_FULL_WIDTH = re.compile("[＂-＇＊＋－／-９＜-＞＠-｝]")
# ... but full-width punctuation belongs to the Chinese or Japanese text that it follows.
_FULL_WIDTH_MARK = re.compile(f"(?<![{WIDE}！（），．：；？])[！（），．：；？]+")
_FRACTION = re.compile(r"(?<=\d)(?=[⅐-⅟↉])")
# Exponents that few engines read, all but a lone ¹ ² ³; after a word they are footnote marks.
_POWER = re.compile(r"(?:(?<=[\d)])|(?<=\b[^\W\d_]))(?:[⁰¹²³⁴-⁹]{2,}|[⁰⁴-⁹])")
# Letters that an emoji selector turns into pictures.
_PICTURED = re.compile("[ℹⓂ㊗㊙]\ufe0f")

_BLANKS = re.compile(r"[^\S\n]+")
# What follows a gap decides whether a space is left: none before closing punctuation.
_GAPS = re.compile(rf" ?{GAP}[ {GAP}]*+([.,!?;:…)\]”’]?)")

_KEPT_SYMBOLS = "©®°™℠"
_MOST_MARKS = 8
_SAID = {
    "\n": "\n",
    "\t": " ",
    "\v": "\n",
    "\f": "\n",
    "\x1c": "\n",
    "\x1d": "\n",
    "\x1e": "\n",
    "\x85": "\n",
    "\u2028": "\n",
    "\u2029": "\n\n",
    "\u200b": " ",
    "\u034f": "",
    "\u2044": "/",
    "\u2212": "-",
    "♭": " flat",
    "♯": " sharp",
}


def hide(text: str) -> str:
    """Return the text with its markup characters made meaningless, until ``show``."""
    return text.translate(_HIDE)


def show(text: str) -> str:
    """Undo ``hide``."""
    return text.translate(_SHOW)


def plain(text: str) -> str:
    """Return the text in plain characters; pictures and control characters are gaps."""
    text = _PICTURED.sub(GAP, text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _POWER.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), text)
    text = _FRACTION.sub(" ", text)
    for odd in (_FULL_WIDTH, _COMPATIBLE, _FULL_WIDTH_MARK):
        text = odd.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = text.translate({ord(char): _said(char) for char in set(text)})
    return _BLANKS.sub(" ", text)


def close_gaps(text: str) -> str:
    """Return the text without gaps; the words around a gap stay apart."""
    return _GAPS.sub(lambda m: m[1] or " ", text)


def compose(text: str) -> str:
    """Return the text in Unicode's composed form (NFC).

    No letter keeps more than eight marks: sorting a long run of them takes quadratic time.
    """
    marks = "".join(char for char in set(text) if unicodedata.combining(char))
    if marks:
        text = re.sub(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+", r"\1", text)
    return unicodedata.normalize("NFC", text)


def _said(char: str) -> str:
    """Return what stands for one character."""
    if char in _SAID:
        return _SAID[char]
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category in ("Cf", "Me") or "VARIATION SELECTOR" in unicodedata.name(char, ""):
        return ""
    silent = category in ("Cc", "Cn", "Co", "Cs") or _is_picture(char, category)
    return GAP if silent else char


def _is_picture(char: str, category: str) -> bool:
    """Return whether a symbol is a drawing rather than something to read."""
    if category not in ("So", "Sm", "Sk") or char in _KEPT_SYMBOLS:
        return False
    return category == "So" or char > "\uffff" or "\u2300" <= char <= "\u27bf"
