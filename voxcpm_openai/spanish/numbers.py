"""Spanish words for numbers.  The words themselves are those of the package num2words."""

from __future__ import annotations

import re
from functools import lru_cache

from voxcpm_openai.english.rule import alternatives

NUMBER = (
    r"(?:\d{1,3}(?:[.\u00a0\u202f ]\d{3})+(?!\d)(?:,\d+)?|\d{1,3}(?:,\d{3})+\.\d+"
    r"|\d{1,3}(?:,\d{3}){2,}(?!\d)|\d+(?:[.,]\d+)?)"
)
"""A pattern of a number: 1.234,5 or 1,234.5, in groups of three or not."""

_GROUPED = re.compile(r"(?<=\d)[.,\u00a0\u202f ](?=\d{3}(?:\D|$))")
_LONGEST = 15
"""The digits of the largest number that is read as one; longer ones are read digit by digit."""
_MANY = re.compile(r"(?:millón|millones|billón|billones)$")

# A word after a number that is not what is counted.
_NOT_COUNTED = frozenset(
    "a al con de del e el en es está están la las los menos más ni no o para pero por puntos que "
    "se sin son sobre su u y ya coma punto barra".split()
)
_NAMED = re.compile(
    "(?:"
    + alternatives(
        "página páginas capítulo artículo número tema lección habitación sala nivel línea versión "
        "canal puerta piso planta apartado tabla figura grupo fase zona calle etapa ruta año "
        "volumen tomo unidad ejercicio".split()
    )
    + r") $",
    re.IGNORECASE,
)
"""What a number names and does not count, before it."""
_NOUN = re.compile(r" ([a-záéíóúüñ]{3,})")
_FEMININE = re.compile(
    r"as?$|(?:ci|si|xi)(?:ón|ones)$|dad(?:es)?$|tud(?:es)?$"
    r"|^(?:mujeres|noches?|tardes?|veces|vez|calles?|clases?|leyes|partes?|llaves?|manos?|flores)$"
)
_MASCULINE = re.compile(
    r"^(?:días?|mapas?|sofás?|planetas?|climas?|(?:\w*[^c]|re)emas?|\w+(?:gr|dr|ot|l)amas?"
    r"|idiomas?|diplomas?|síntomas?|aromas?|atletas?|artistas?|turistas?)$"
)


def digits(text: str) -> str:
    """Return digits one by one: "42" is "cuatro dos"."""
    return " ".join(_words(int(char)) for char in text if char.isdecimal())


def cardinal(whole: str) -> str:
    """Return a whole number, with or without marks between groups of three."""
    plain = _GROUPED.sub("", whole)
    if len(plain) > _LONGEST or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return _words(int(plain))


def number(text: str) -> str:
    """Return a whole or decimal number: "3,05" is "tres coma cero cinco"."""
    whole, mark, decimals = parts(text)
    if not decimals:
        return cardinal(whole)
    said = digits(decimals) if decimals[0] == "0" or len(decimals) > 2 else cardinal(decimals)
    return f"{cardinal(whole)} {'punto' if mark == '.' else 'coma'} {said}"


def parts(text: str) -> tuple[str, str, str]:
    """Return the whole part without marks, the decimal mark and the decimals of a number."""
    found = re.fullmatch(r"(.*?)([.,])(\d+)", text)
    if found is None or (len(found[3]) == 3 and _is_group(found[1], found[2])):
        return re.sub(r"\D", "", text), "", ""
    return re.sub(r"\D", "", found[1]), found[2], found[3]


def _is_group(before: str, mark: str) -> bool:
    """Return whether three digits after a mark are thousands: "1.234", not "1,234"."""
    other = "," if mark == "." else "."
    if other in before or (len(before) > 3 and mark not in before):
        return False
    return before != "0" and (mark == "." or mark in before)


def counted(text: str, before: str, after: str) -> str:
    """Return a number as it agrees with what is counted: "21 casas" is "veintiuna casas".

    ``before`` and ``after``: the text around it.
    """
    noun = _NOUN.match(after)
    if noun is None or noun[1] in _NOT_COUNTED or _NAMED.search(before) or parts(text)[2]:
        return number(text)
    return of_many(agreeing(number(text), feminine=is_feminine(noun[1])))


def is_feminine(noun: str) -> bool:
    """Return whether a noun is feminine, as far as its ending tells."""
    return _FEMININE.search(noun) is not None and _MASCULINE.match(noun) is None


def agreeing(words: str, *, feminine: bool) -> str:
    """Return a cardinal before a noun: "un", "veintiuna", "doscientas"."""
    if feminine:
        if "mill" not in words:
            words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
        return re.sub(r"uno$", "una", words)
    return re.sub(r"(?<=veinti)uno$", "ún", re.sub(r"\buno$", "un", words))


def of_many(words: str) -> str:
    """Return a number before a noun, with "de" after millions: "un millón de"."""
    return f"{words} de" if _MANY.search(words) else words


@lru_cache(maxsize=4096)
def _words(value: int) -> str:
    from num2words import num2words

    words = str(num2words(value, lang="es"))
    # It leaves the long form of one before thousands and millions.
    words = re.sub(r"veintiuno (?=mil)", "veintiún ", words)
    return re.sub(r"\buno (?=mil)", "un ", words)


_ORDINALS = (
    "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo undécimo duodécimo"
).split()


def ordinal(value: int, ending: str) -> str:
    """Return an ordinal up to the twelfth, and a cardinal beyond: "3.ª" is "tercera".

    ``ending``: as it is written, "º", "ª", "er" and so on.
    """
    if not 1 <= value <= len(_ORDINALS):
        return agreeing(_words(value), feminine=ending[-1] in "aª") if value else _words(value)
    word = _ORDINALS[value - 1]
    if ending == "er":
        return word.removesuffix("o")
    return f"{word[:-1]}a" if ending[-1] in "aª" else word
