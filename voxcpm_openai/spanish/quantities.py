"""Money, shares, units, ordinals, fractions, ranges and plain numbers."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after, text_before
from voxcpm_openai.spanish.numbers import (
    NUMBER,
    agreeing,
    cardinal,
    counted,
    digits,
    is_feminine,
    number,
    of_many,
    ordinal,
    parts,
)

_CURRENCIES = {
    "€": ("euro", "euros", "céntimo"),
    "$": ("dólar", "dólares", "centavo"),
    "US$": ("dólar", "dólares", "centavo"),
    "£": ("libra", "libras", "penique"),
    "¥": ("yen", "yenes", "sen"),
    "EUR": ("euro", "euros", "céntimo"),
    "USD": ("dólar", "dólares", "centavo"),
    "GBP": ("libra", "libras", "penique"),
    "MXN": ("peso mexicano", "pesos mexicanos", "centavo"),
}
_UNITS = {
    "km": ("kilómetro", "kilómetros"),
    "m": ("metro", "metros"),
    "cm": ("centímetro", "centímetros"),
    "mm": ("milímetro", "milímetros"),
    "km/h": ("kilómetro por hora", "kilómetros por hora"),
    "m²": ("metro cuadrado", "metros cuadrados"),
    "m2": ("metro cuadrado", "metros cuadrados"),
    "km²": ("kilómetro cuadrado", "kilómetros cuadrados"),
    "m³": ("metro cúbico", "metros cúbicos"),
    "kg": ("kilo", "kilos"),
    "g": ("gramo", "gramos"),
    "mg": ("miligramo", "miligramos"),
    "l": ("litro", "litros"),
    "L": ("litro", "litros"),
    "ml": ("mililitro", "mililitros"),
    "h": ("hora", "horas"),
    "min": ("minuto", "minutos"),
    "s": ("segundo", "segundos"),
    "GB": ("gigabyte", "gigabytes"),
    "MB": ("megabyte", "megabytes"),
    "kW": ("kilovatio", "kilovatios"),
    "W": ("vatio", "vatios"),
    "V": ("voltio", "voltios"),
    "°C": ("grado", "grados"),
    "ºC": ("grado", "grados"),
    "°": ("grado", "grados"),
}
_PARTS = "medio tercio cuarto quinto sexto séptimo octavo noveno décimo".split()
_MONEY = alternatives(_CURRENCIES)
_SCALE = r"(?: ?(?P<scale>mil|mill(?:ón|ones)|M))?"
_FREE = r"(?<![\w.,])"


def _measured(text: str, names: tuple[str, str]) -> str:
    """Return a number and the name of a unit: "1 h" is "una hora"."""
    if parts(text)[2]:
        return f"{number(text)} {names[1]}"
    words = agreeing(number(text), feminine=is_feminine(names[0].split()[0]))
    return f"{of_many(words)} {names[0] if words in {'un', 'una'} else names[1]}"


def _money(match: re.Match[str]) -> str:
    text, (one, many, cent) = match["sum"], _CURRENCIES[match["currency"]]
    if scale := match["scale"]:
        words = agreeing(number(text), feminine=scale == "mil" and is_feminine(one))
        scale = ("millón" if words == "un" else "millones") if scale == "M" else scale
        return (
            of_many(scale if words == "un" and scale == "mil" else f"{words} {scale}") + f" {many}"
        )
    whole, _, decimals = parts(text)
    if len(decimals) != 2:
        return _measured(text, (one, many))
    words = _measured(whole, (one, many))
    return (
        f"{words} con {_measured(str(int(decimals)), (cent, cent + 's'))}"
        if int(decimals)
        else words
    )


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match[1]), int(match[2])
    if not (0 < above < below and 2 <= below <= 10):
        return f"{cardinal(match[1])} barra {cardinal(match[2])}"
    part = _PARTS[below - 2]
    return f"{agreeing(cardinal(match[1]), feminine=False)} {part}{'s' if above > 1 else ''}"


def _groups(match: re.Match[str]) -> str:
    """Return a telephone number: digits, with a pause between the groups."""
    plus = "más " if match[0].startswith("+") else ""
    return plus + ", ".join(map(digits, re.findall(r"\d+", match[0])))


RANGES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<![\w.,+-])(?:\+\d{1,3}(?:[ -]\d{2,}){2,}|[6-9]\d{2} \d{3} \d{3}"
            r"|[6-9]\d{2}(?: \d{2}){3}|\d+(?:-\d+){2,})(?![\w-])",
            _groups,
            ("Llama al 612 345 678.", "Llama al seis uno dos, tres cuatro cinco, seis siete ocho."),
            ("+34 91 123", "más tres cuatro, nueve uno, uno dos tres"),
        ),
        rule(
            rf"{_FREE}({NUMBER}) ?[-–—] ?(?={NUMBER})",
            r"\1 a ",
            ("de 5-10 años", "de cinco a diez años"),
            ("10–20 %", "diez a veinte por ciento"),
        ),
        rule(r"(?<![\w)])[-−] ?(?=\d)", "menos ", ("Hace -5 °C.", "Hace menos cinco grados.")),
    ),
)
"""Telephone numbers, ranges and signs before numbers."""

MEASURES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            rf"(?<=[€$£])/({alternatives(_UNITS)})(?!\w)",
            lambda m: f" por {_UNITS[m[1]][0]}",
            ("2 €/kg", "dos euros por kilo"),
        ),
        rule(
            rf"(?P<currency>{_MONEY}) ?(?P<sum>{NUMBER}){_SCALE}(?!\w)",
            _money,
            ("$5", "cinco dólares"),
            ("$3.50", "tres dólares con cincuenta centavos"),
            ("£21", "veintiuna libras"),
            ("$2 millones", "dos millones de dólares"),
        ),
        rule(
            rf"{_FREE}(?P<sum>{NUMBER}){_SCALE} ?(?P<currency>{_MONEY})(?!\w)",
            _money,
            ("1 €", "un euro"),
            ("3,50 €", "tres euros con cincuenta céntimos"),
            ("1.200,00 €", "mil doscientos euros"),
            ("1.000.000 €", "un millón de euros"),
            ("5 M€", "cinco millones de euros"),
        ),
        rule(
            rf"{_FREE}({NUMBER}) ?%",
            lambda m: f"{number(m[1])} por ciento",
            ("el 25 %", "el veinticinco por ciento"),
            ("3,5%", "tres coma cinco por ciento"),
            ("100 %", "cien por ciento"),
        ),
        rule(
            rf"{_FREE}({NUMBER}) ?({alternatives(_UNITS)})(?![\w²³/])",
            lambda m: _measured(m[1], _UNITS[m[2]]),
            ("120 km/h", "ciento veinte kilómetros por hora"),
            ("1 h", "una hora"),
            ("2,5 kg", "dos coma cinco kilos"),
            ("21 °C", "veintiún grados"),
            ("80 m²", "ochenta metros cuadrados"),
        ),
        rule(
            r"(?<![\w.,])(\d{1,4})(?:\.?([ºª])|\.°|(er|r[oa]|d[oa]|t[oa]|m[oa]|v[oa])\b)",
            lambda m: ordinal(int(m[1]), m[2] or m[3] or "º"),
            ("el 1.º de la 2ª fila", "el primero de la segunda fila"),
            ("el 3er piso", "el tercer piso"),
        ),
        rule(
            r"(?<![\w.,/])(\d{1,9})[/⁄](\d{1,9})(?![\w/])",
            _fraction,
            ("1/2 litro", "un medio litro"),
            ("3/4", "tres cuartos"),
            ("15/20", "quince barra veinte"),
        ),
    ),
)
"""What follows or precedes a number and belongs to it."""

NUMBERS = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            NUMBER,
            lambda m: _apart(m, counted(m[0], text_before(m), text_after(m))),
            ("Tengo 21 libros.", "Tengo veintiún libros."),
            ("1 casa, 200 personas", "una casa, doscientas personas"),
            ("la página 1 de 31 días", "la página uno de treinta y un días"),
            ("1.000.000 personas", "un millón de personas"),
            ("21.000 vecinos y 10 000 casas", "veintiún mil vecinos y diez mil casas"),
            ("1,234.5", "mil doscientos treinta y cuatro punto cinco"),
            ("3,05", "tres coma cero cinco"),
            ("007", "cero cero siete"),
            ("COVID19", "COVID diecinueve"),
        ),
    ),
)
"""All other numbers."""


def _apart(match: re.Match[str], words: str) -> str:
    """Return words with spaces between them and the letters beside them."""
    before, after = text_before(match)[-1:], text_after(match)[:1]
    return f"{' ' if before.isalnum() else ''}{words}{' ' if after.isalnum() else ''}"
