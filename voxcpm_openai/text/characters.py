"""Characters: compatibility forms are replaced, pictures and control characters removed."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.text.script import WIDE

GAP = "\ue000"
"""Replaces what cannot be read aloud, until ``close_gaps``."""

_HIDDEN = {char: chr(0xF700 + ord(char)) for char in "`*_[]#+-.!|~<>$&="}
_HIDE = str.maketrans(_HIDDEN)
_SHOW = str.maketrans({hidden: char for char, hidden in _HIDDEN.items()})

# Compatibility forms of letters and digits, as Unicode defines them: ligatures,
# letterlike (ℝ, №, ℃; not ™ and ℠), fractions, Roman numerals, circled, radicals, units (㎏),
# half-width kana, Arabic shapes, the two-mark ‼, mathematical and squared letters.
_COMPATIBLE = re.compile(
    "[\u203c\u2047-\u2049\u2100-\u211f\u2121\u2123-\u214f\u2150-\u217f\u2189\u2460-\u24ea"
    "\u2f00-\u2fd5\u3200-\u33ff\ufb00-\ufdcf\ufe70-\ufefc\uff61-\uffdc\U0001d400-\U0001d7ff"
    "\U0001f100-\U0001f14f]+"
)
# Full-width letters, digits and signs are replaced everywhere ...
_FULL_WIDTH = re.compile("[＂-＇＊＋－／-９＜-＞＠-｝]")
# ... but full-width punctuation stays in lines with Chinese or Japanese text.
_FULL_WIDTH_MARK = re.compile("[！（），．：；？]+")
_NARROW_LINE = re.compile(f"^[^\n{WIDE}]*+$", re.MULTILINE)
_FRACTION = re.compile(r"(?<=\d)(?=[⅐-⅟↉])")
# A zero-width space between sentences; elsewhere it is a place where a word may be broken.
_BORDER = re.compile("(?<=[.!?…,;:)\\]”»])\u200b+(?=[A-ZÀ-Þ“«(])")
# Letters that an emoji selector turns into pictures.
_PICTURED = re.compile("[ℹⓂ㊗㊙]\ufe0f")

_BLANKS = re.compile(r"[^\S\n]+")
# A gap becomes a space, except before closing punctuation.
_GAPS = re.compile(rf" ?{GAP}[ {GAP}]*+([.,!?;:…)\]”’！，。？：；、）」』】]?)")

_KEPT_SYMBOLS = "©®°™℠♭♮♯"
_MAX_MARKS = 8
_REPLACEMENTS = {
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
    "\u200b": "",
    "\u034f": "",
    "\u2044": "/",
    "\u2212": "-",
}


def hide(text: str) -> str:
    """Return the text with its markup characters replaced, so that they are kept; see ``show``."""
    return text.translate(_HIDE)


def show(text: str) -> str:
    """Undo ``hide``."""
    return text.translate(_SHOW)


def plain(text: str) -> str:
    """Return the text in plain characters; pictures and control characters become gaps."""
    text = _PICTURED.sub(GAP, text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _BORDER.sub(" ", _FRACTION.sub(" ", text))
    for pattern in (_FULL_WIDTH, _COMPATIBLE):
        text = pattern.sub(_compatible, text)
    text = _NARROW_LINE.sub(lambda line: _FULL_WIDTH_MARK.sub(_compatible, line[0]), text)
    text = text.translate({ord(char): _replacement(char) for char in set(text)})
    return _BLANKS.sub(" ", text)


def close_gaps(text: str) -> str:
    """Return the text without gaps; the words around a gap stay separate."""
    return _GAPS.sub(lambda m: m[1] or " ", text)


def compose(text: str) -> str:
    """Return the text in Unicode's composed form (NFC).

    A letter keeps at most eight combining marks: sorting a long run takes quadratic time.
    """
    marks = "".join(char for char in set(text) if unicodedata.combining(char))
    if marks:
        text = re.sub(f"([{marks}]{{{_MAX_MARKS}}})[{marks}]+", r"\1", text)
    return unicodedata.normalize("NFC", text)


def _compatible(found: re.Match[str]) -> str:
    """Return what was found in Unicode's compatible form (NFKC)."""
    return unicodedata.normalize("NFKC", found[0])


def _replacement(char: str) -> str:
    """Return the replacement of one character."""
    if char in _REPLACEMENTS:
        return _REPLACEMENTS[char]
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category in ("Cf", "Me") or "VARIATION SELECTOR" in unicodedata.name(char, ""):
        return ""
    silent = category in ("Cc", "Cn", "Co", "Cs") or _is_picture(char, category)
    return GAP if silent else char


def _is_picture(char: str, category: str) -> bool:
    """Return whether a symbol is a picture, which is not read aloud."""
    if category not in ("So", "Sm", "Sk") or char in _KEPT_SYMBOLS:
        return False
    return category == "So" or char > "\uffff" or "\u2300" <= char <= "\u27bf"
