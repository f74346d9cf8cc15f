"""Abbreviations, addresses, letters and signs; and what is left when all rules have run."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.english.rule import RuleGroup, alternatives, rule
from voxcpm_openai.spanish.numbers import cardinal

_ABBREVIATIONS = {
    "Sr.": "señor",
    "Sra.": "señora",
    "Sres.": "señores",
    "Srta.": "señorita",
    "Dr.": "doctor",
    "Dra.": "doctora",
    "D.ª": "doña",
    "Dña.": "doña",
    "Ud.": "usted",
    "Uds.": "ustedes",
    "Vd.": "usted",
    "EE. UU.": "Estados Unidos",
    "EE.UU.": "Estados Unidos",
    "p. ej.": "por ejemplo",
    "p.ej.": "por ejemplo",
    "etc.": "etcétera",
    "pág.": "página",
    "págs.": "páginas",
    "núm.": "número",
    "n.º": "número",
    "N.º": "número",
    "nº": "número",
    "Nº": "número",
    "tel.": "teléfono",
    "Tel.": "teléfono",
    "Avda.": "avenida",
    "Av.": "avenida",
    "C/": "calle ",
    "c/": "calle ",
    "a. C.": "antes de Cristo",
    "d. C.": "después de Cristo",
}
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNÑOPQRSTUVWXYZ",
        "a be ce de e efe ge hache i jota ka ele eme ene eñe o pe cu erre ese te u uve uve_doble "
        "equis ye zeta".split(),
        strict=True,
    )
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_SIGNS = {
    "&": "y",
    "+": "más",
    "=": "igual a",
    "@": "arroba",
    "%": "por ciento",
    "×": "por",
    "÷": "entre",
    "±": "más menos",
    "<": "menor que",
    ">": "mayor que",
    "≤": "menor o igual que",
    "≥": "mayor o igual que",
    "≈": "aproximadamente",
    "°": "grados",
    "€": "euros",
    "$": "dólares",
    "£": "libras",
    "§": "sección",
    "²": "al cuadrado",
    "³": "al cubo",
}
_HALVES = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}

PAUSES = ",.;:!?…—"
"""The marks of pauses that a text may have when it is words, beside the opening ¿ and ¡."""

_WORD_MARKS = re.compile(rf"[^\W\d_]+|[{PAUSES}¿¡ ]|(?<=\w)['’-](?=\w)")
_BRACKETS = re.compile(r"\s*[()\[\]{}]+\s*")
_DASH = re.compile(r"\s+[-–—―]+\s+|[-–—―]{2,}|[–—―]")
_SPACE_BEFORE = re.compile(r"\s+(?=[,.;:!?…])")
_REPEATED = re.compile(r"([,;:—])[,;:— ]*(?=[,;:—.!?…])")
_ELLIPSIS = re.compile(r"\.{2,}")


def _abbreviation(match: re.Match[str]) -> str:
    """Return the words; the full stop stays at the end of the text."""
    last = match.end() == len(match.string) and match[0].endswith(".")
    return _ABBREVIATIONS[match[0]] + ("." if last else "")


def _roman(match: re.Match[str]) -> str:
    values = [_ROMAN[char] for char in match[2]]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return match[1] + cardinal(str(sum(-one if one < two else one for one, two in pairs)))


def _spelled(match: re.Match[str]) -> str:
    return " ".join(_LETTERS[char].replace("_", " ") for char in match[0])


def digits_of(text: str) -> str:
    """Return a text with plain digits, and fractions of one character as two numbers."""
    for sign, written in _HALVES.items():
        text = re.sub(rf"(?<=\d) ?{sign}", f" y {written}", text).replace(sign, f" {written} ")
    return "".join(
        str(unicodedata.digit(char)) if char.isdigit() and char not in "²³" else char
        for char in text
    )


ABBREVIATIONS = RuleGroup(
    re.compile("[.º@/]|www|[A-Z]{2}"),
    (
        rule(
            rf"(?<![\w.])(?:{alternatives(_ABBREVIATIONS)})",
            _abbreviation,
            ("El Sr. Gil y la Dra. Paz, etc.", "El señor Gil y la doctora Paz, etcétera."),
            ("Vive en EE. UU. desde joven.", "Vive en Estados Unidos desde joven."),
            ("la pág. 5, p. ej., del n.º 3", "la página cinco, por ejemplo, del número tres"),
        ),
        rule(
            r"(?<=\w)@(?=\w)",
            " arroba ",
            ("ana@correo.es", "ana arroba correo punto es"),
        ),
        rule(
            r"(?<=[a-z])\.(?=[a-z])",
            " punto ",
            ("www.correo.es", "uve doble uve doble uve doble punto correo punto es"),
        ),
        rule(r"\bwww\b", "WWW", ("www", "uve doble uve doble uve doble")),
        rule(
            r"\b([Ss]iglos? |[Cc]apítulo |[Tt]omo )([IVXLC]+)\b",
            _roman,
            ("el siglo XXI", "el siglo veintiuno"),
        ),
    ),
)
"""Abbreviations with a full stop, addresses, and Roman numerals of centuries."""

SIGNS = RuleGroup(
    re.compile(r"[^\w\s]|[A-ZÑ²³]"),
    (
        rule(
            r"#(?=\d)",
            "número ",
            ("el #5", "el número cinco"),
        ),
        rule(
            f"[{re.escape(''.join(_SIGNS))}]",
            lambda m: f" {_SIGNS[m[0]]} ",
            ("pan & vino", "pan y vino"),
            ("2 + 2 = 4", "dos más dos igual a cuatro"),
            ("x²", "x al cuadrado"),
        ),
        rule(
            r"(?<=[^\W\d_])/(?=[^\W\d_])",
            " o ",
            ("niños/niñas", "niños o niñas"),
        ),
        rule(
            r"(?<![^\W\d_])[B-DF-HJ-NP-TV-XZÑ]{1,5}(?![^\W\d_])",
            _spelled,
            ("un DVD de la BBC", "un de uve de de la be be ce"),
            ("en 3D", "en tres de"),
        ),
    ),
)
"""Signs, and abbreviations without a vowel, which are read letter by letter."""


def finish(text: str) -> str:
    """Return the words and marks of pauses of a text, without any other sign."""
    text = _DASH.sub(" — ", _BRACKETS.sub(", ", _ELLIPSIS.sub("…", text)))
    text = unicodedata.normalize("NFC", re.sub(r"\s", " ", text))
    text = "".join(piece or " " for piece in _pieces(text))
    text = _SPACE_BEFORE.sub("", " ".join(text.split()))
    return _REPEATED.sub("", text).lstrip(f" {PAUSES}") if any(map(str.isalpha, text)) else text


def _pieces(text: str) -> list[str]:
    """Return the words and marks of a text, and an empty string for anything between them."""
    found, done = [], 0
    for match in _WORD_MARKS.finditer(text):
        found += [""] * (match.start() > done) + [match[0]]
        done = match.end()
    return found
