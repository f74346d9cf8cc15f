"""Scripts of letters, and whether a text has anything that can be spoken."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.text.marks import PHONEMES, SILENT

WIDE = (
    "\u1100-\u11ff\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Chinese, Japanese and Korean characters, as the inside of a regex class."""

_READ_SYMBOLS = frozenset("%&@+=#±×÷§©°→")
_SILENT_MARK = re.compile(f"[{SILENT}]+")
_SENTENCE_MARKS = frozenset(".!?…。！？")
_SHOWN_LETTERS = 5
_WIDE = re.compile(f"[{WIDE}]")
# The signs that pictures are drawn of: ¯\\_(ツ)_/¯.
_DRAWN = frozenset("\\/_")

# Single Greek letters are symbols (π, μ, Δx), which every engine reads.
_LONE_GREEK = re.compile(r"(?<![Ͱ-Ͽἀ-῿])[Ͱ-Ͽἀ-῿](?![Ͱ-Ͽἀ-῿])")
# So are letterlike and mathematical forms of letters (ℝ, ℵ, µ, 𝛼).
_SYMBOL_LETTERS = re.compile("[\u00b5\u2100-\u214f\U0001d400-\U0001d7ff\U0001ee00-\U0001eeff]")

# The first word of a letter's Unicode name -> the script's plain name, where it differs.
_SCRIPT_NAMES = {
    "Cjk": "Chinese",
    "Ideographic": "Chinese",
    "Katakana-hiragana": "Katakana",
    "Hangul": "Korean",
    "Feminine": "Latin",
    "Masculine": "Latin",
    "Modifier": "Latin",
    "Bopomofo": "Chinese",
    "Canadian": "Canadian Syllabics",
}

_LATIN = (
    "en de fr es it pt nl pl sv da nb nn no fi is fo et lv lt cs sk sl hr bs hu ro sq eu ca gl "
    "ga gd cy br mt lb af tr az id ms tl jv su vi sw so zu xh st tn rw ha yo ig mg mi sm ht la eo"
)
# ISO 639-1 code -> the scripts of the language, besides Latin, which every engine reads.
_SCRIPTS: dict[str, frozenset[str]] = {code: frozenset() for code in _LATIN.split()} | {
    code: frozenset(scripts)
    for codes, scripts in (
        ("zh", ("Chinese",)),
        ("ja", ("Chinese", "Hiragana", "Katakana")),
        ("ko", ("Korean", "Chinese")),
        ("ru uk be bg mk sr kk ky tg mn", ("Cyrillic",)),
        ("ar fa ur ps", ("Arabic",)),
        ("he yi", ("Hebrew",)),
        ("hi mr ne sa", ("Devanagari",)),
        ("bn as", ("Bengali",)),
        ("pa", ("Gurmukhi",)),
        ("gu", ("Gujarati",)),
        ("ta", ("Tamil",)),
        ("te", ("Telugu",)),
        ("kn", ("Kannada",)),
        ("ml", ("Malayalam",)),
        ("si", ("Sinhala",)),
        ("th", ("Thai",)),
        ("lo", ("Lao",)),
        ("km", ("Khmer",)),
        ("my", ("Myanmar",)),
        ("el", ("Greek",)),
        ("ka", ("Georgian",)),
        ("hy", ("Armenian",)),
        ("am ti", ("Ethiopic",)),
    )
    for code in codes.split()
}


def speakable(text: str) -> bool:
    """Return whether a cleaned text has anything that an engine can speak.

    That is a letter or digit of any script, a pronunciation, a symbol that is read aloud such as
    ``%`` or ``€``, or only sentence marks: clients check their key with ``"."``.
    """
    if has_words(text):
        return True
    marks = _SILENT_MARK.sub("", text).strip()
    return bool(marks) and _SENTENCE_MARKS.issuperset(marks)


def has_words(text: str) -> bool:
    """Return whether a cleaned text has a letter, a digit or a symbol that is read aloud."""
    return any(map(_is_read, text))


def foreign_letters(text: str, languages: tuple[str, ...]) -> dict[str, str]:
    """Return the letters of scripts that no language uses: script -> the first few letters.

    ``languages``: ISO 639-1 codes.  If there are none, or one has no known script, no letter is
    foreign.  Latin letters never are, nor symbols such as a single ``π``, or ``ℝ``.
    """
    found: dict[str, str] = {}
    for char in dict.fromkeys(text[place] for place in foreign_places(text, languages)):
        shown = found.get(script := _script(char), "")
        if char.isalpha() and len(shown) < _SHOWN_LETTERS:
            found[script] = shown + char
    return found


def foreign_places(text: str, languages: tuple[str, ...]) -> list[int]:
    """Return the places of foreign letters, as ``foreign_letters`` has them, with their accents."""
    codes = [code.lower().partition("-")[0] for code in languages]
    if text.isascii() or not codes or any(code not in _SCRIPTS for code in codes):
        return []
    known = frozenset({"Latin"}).union(*(_SCRIPTS[code] for code in codes))
    foreign = {char for char in set(text) if _is_foreign(char, known)}
    if not foreign:
        return []
    places: list[int] = []
    symbols = {found.start() for found in _LONE_GREEK.finditer(text)}
    for place, char in enumerate(text):
        after = bool(places) and places[-1] == place - 1
        if (char in foreign and place not in symbols) or (
            after and unicodedata.category(char)[0] == "M"
        ):
            places.append(place)
    return places


def is_foreign(text: str, languages: tuple[str, ...]) -> bool:
    """Return whether a text is mostly in scripts that no language uses; see ``foreign_letters``.

    A wide letter counts as three, since it is a syllable.
    """
    places = foreign_places(text, languages)
    weight = sum(3 if _WIDE.match(text[place]) else 1 for place in places)
    others = sum(map(_counts, text)) - sum(_counts(text[place]) for place in places)
    return weight > others


def _counts(char: str) -> bool:
    """Return whether a character counts when the scripts of a text are weighed."""
    return char.isalnum() or char in _DRAWN or unicodedata.category(char)[0] == "S"


def _is_foreign(char: str, known: frozenset[str]) -> bool:
    return char.isalpha() and not _SYMBOL_LETTERS.match(char) and _script(char) not in known


def _is_read(char: str) -> bool:
    """Return whether a character is read aloud on its own."""
    return (
        (char.isalnum() and char != "¹")  # a footnote; ² and ³ are powers
        or char in _READ_SYMBOLS
        or char >= PHONEMES[0]
        or unicodedata.category(char) == "Sc"
    )


def _script(letter: str) -> str:
    """Return the plain English name of the script of a letter."""
    plain = unicodedata.normalize("NFKC", letter)[0]
    name = unicodedata.name(plain if plain.isalpha() else letter, "Unknown")
    script = name.partition(" ")[0].capitalize()
    return _SCRIPT_NAMES.get(script, script)
