"""Dates and times of day."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, rule
from voxcpm_openai.spanish.numbers import agreeing, cardinal

MONTHS = (
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
).split()


def _date(match: re.Match[str]) -> str:
    day, month, year = int(match["day"]), int(match["month"]), match["year"]
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return match[0]
    century = "20" if len(year) == 2 else ""
    return f"{cardinal(str(day))} de {MONTHS[month - 1]} de {cardinal(century + year)}"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    said = agreeing(cardinal(str(hour)), feminine=True)
    if minute == 0:
        said += "" if match["half"] else " en punto"
    elif hour <= 12 and minute in {15, 30}:
        said += " y cuarto" if minute == 15 else " y media"
    else:
        said += f" y {cardinal(str(minute))}"
    return said + _half(match["half"], hour)


def _half(half: str | None, hour: int) -> str:
    """Return the part of the day that "a. m." and "p. m." mean."""
    if not half:
        return ""
    if half[0] in "aA":
        return " de la mañana"
    return " de la noche" if 8 <= hour < 12 else " de la tarde"


_HALF = r"(?: ?(?P<half>[aApP]\. ?[mM]\.|[aApP][mM]\b))?"

DATES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<![\w/.-])(?P<day>\d{1,2})(?P<mark>[/.-])(?P<month>\d{1,2})(?P=mark)"
            r"(?P<year>\d{4}|\d{2})(?![\w/-]|[.,]\d)",
            _date,
            ("28/09/2025", "veintiocho de septiembre de dos mil veinticinco"),
            ("Es el 1-5-24.", "Es el uno de mayo de dos mil veinticuatro."),
            ("31.12.1999", "treinta y uno de diciembre de mil novecientos noventa y nueve"),
        ),
        rule(
            r"(?<![\w/.-])(?P<year>\d{4})(?P<mark>[/-])(?P<month>\d{1,2})(?P=mark)"
            r"(?P<day>\d{1,2})(?![\w/-])",
            _date,
            ("2025-09-28", "veintiocho de septiembre de dos mil veinticinco"),
        ),
    ),
)
"""Dates in digits: the day before the month."""

TIMES = RuleGroup(
    re.compile(r"\d[:.]\d|\d ?[aApP]\.? ?[mM]\b"),
    (
        rule(
            r"(?<=\d:\d\d) ?[-–—] ?(?=\d{1,2}:\d)",
            " a ",
            ("9:30-11:15", "nueve y media a once y cuarto"),
        ),
        rule(
            r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-4])(?::(?P<minute>[0-5]\d)(?![\d:])"
            r"(?: ?h(?:s|rs)?\b\.?)?)" + _HALF,
            _time,
            ("a las 9:00", "a las nueve en punto"),
            ("a la 1:15", "a la una y cuarto"),
            ("a las 14:30 h", "a las catorce y treinta"),
            ("a las 7:30", "a las siete y media"),
            ("a las 9:05 p. m. de hoy", "a las nueve y cinco de la noche de hoy"),
        ),
        rule(
            r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-4])\.(?P<minute>[0-5]\d) ?h(?:s|rs)?\b\.?"
            r"(?P<half>)",
            _time,
            ("a las 14.30 h", "a las catorce y treinta"),
        ),
        rule(
            r"(?<![\d:.,])(1[0-2]|[1-9]) ?([aApP]\. ?[mM]\.|[aApP][mM]\b)",
            lambda m: agreeing(cardinal(m[1]), feminine=True) + _half(m[2], int(m[1])),
            ("a las 8 a. m.", "a las ocho de la mañana"),
            ("a la 1pm", "a la una de la tarde"),
        ),
    ),
)
"""Times of day."""
