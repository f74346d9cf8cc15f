"""Dates: "3/15/2024", "2024-02-29", "July 4, 1776", "the 3rd of May", "Due 6/30"."""

from __future__ import annotations

import re

from voxcpm_openai.english.calendar_names import MONTHS
from voxcpm_openai.english.numbers import ordinal, year
from voxcpm_openai.english.rule import RuleGroup, rule, text_before
from voxcpm_openai.english.times import clock

_MONTH = "|".join(MONTHS)
_START = r"(?<![\w.,/-])"
_END = r"(?![\w/]|[.,]\d|-\d)"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_ISO_TIME = r"[T ]([0-2]\d):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?(?:(Z)|[+-]\d\d:?\d\d)?(?![\d:])"


def _date(month: int, day: int, year_: str, whole: str) -> str:
    """Return "January second, twenty twenty-three", or the whole form if it is no date."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return whole
    if len(year_) == 2:
        year_ = ("19" if int(year_) > 50 else "20") + year_
    return f"{MONTHS[month - 1]} {ordinal(day)}" + (f", {year(year_)}" if year_ else "")


def _year_first(match: re.Match[str]) -> str:
    words = _date(int(match[3]), int(match[4]), match[1], match[0])
    if words != match[0] and match[5]:
        words += f", {clock(match[5], match[6], None)}" + (" Z" if match[8] else "")
    return words


def _month_first(match: re.Match[str]) -> str:
    """Return a date with the month first, unless only the second number can be a month."""
    first, second = int(match[1]), int(match[2] or match[4])
    month, day = (second, first) if first > 12 else (first, second)
    return _date(month, day, match[3] or match[5], match[0])


def _month_day(match: re.Match[str]) -> str:
    day, last, year_ = match[2], match[3], match[4]
    if not 1 <= int(day) <= 31:
        return match[0]
    words = f"{match[1]} {ordinal(int(day))}"
    if last:
        words += f" to {ordinal(int(last))}"
    return words + (f", {year(year_)}" if year_ else "")


def _day_month(match: re.Match[str]) -> str:
    if not 1 <= int(match[1]) <= 31:
        return match[0]
    before = text_before(match)
    the = "" if before.lower().endswith("the ") else "the "
    last = f" to {the}{ordinal(int(match[2]))}" if match[2] else ""
    words = f"{the}{ordinal(int(match[1]))}{last} of {match[3]}"
    return words + (f", {year(match[4])}" if match[4] else "")


DATES = RuleGroup(
    re.compile(rf"\d[/.-]\d|\b(?:{_MONTH})\b"),
    (
        rule(
            rf"(?<=\d)(?:st|nd|rd|th)? ?[–-] ?(?=(?:{_MONTH}) \d)",
            " to ",
            ("April 5–May 3", "April fifth to May third"),
        ),
        rule(
            rf"{_START}(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?:{_ISO_TIME}|{_END})",
            _year_first,
            ("Released 2026-09-03.", "Released September third, twenty twenty-six."),
            ("2025/10/01", "October first, twenty twenty-five"),
            ("2024-01-05T10:30:00Z", "January fifth, twenty twenty-four, ten thirty Z"),
        ),
        rule(
            rf"{_START}(\d{{1,2}})(?:/(\d{{1,2}})/(\d{{4}}|\d{{2}}(?! \w*(?:meter|gram|inch)))"
            rf"|-(\d{{1,2}})-(\d{{4}})){_END}",
            _month_first,
            ("on 01/02/2023", "on January second, twenty twenty-three"),
            ("on 25/12/2023", "on December twenty-fifth, twenty twenty-three"),
            ("on 01-02-2023", "on January second, twenty twenty-three"),
        ),
        rule(
            rf"{_START}(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){_END}",
            lambda m: _date(int(m[2]), int(m[1]), m[3], m[0]),
            ("on 24.12.2023", "on December twenty-fourth, twenty twenty-three"),
        ),
        rule(
            rf"{_START}(0?[1-9]|1[0-2])/((?:19|20)\d\d){_END}",
            lambda m: f"{MONTHS[int(m[1]) - 1]} {year(m[2])}",
            ("since 12/2023", "since December twenty twenty-three"),
        ),
        rule(
            r"\b((?i:on|by|until|till|since|before|after|due|deadline|dated|(?:mon|tues|wednes"
            r"|thurs|fri|satur|sun)day,?) (?:of )?)"
            rf"(\d{{1,2}})/(\d{{1,2}}){_END}(?! of\b)",
            lambda m: m[1] + _date(int(m[2]), int(m[3]), "", f"{m[2]}/{m[3]}"),
            ("due 12/25", "due December twenty-fifth"),
        ),
        rule(
            rf"\b({_MONTH}) {_DAY}\b(?!:|\.\d|,\d|%| ?(?:am|pm|a\.m|p\.m|AM|PM)\b| (?:times"
            rf"|years)\b)"
            rf"(?: ?[–-] ?{_DAY}\b(?!:))?(?:,? (\d{{4}})\b)?",
            _month_day,
            ("on March 3rd, 1999", "on March third, nineteen ninety-nine"),
            ("May 5", "May fifth"),
            ("March 3–5", "March third to fifth"),
        ),
        rule(
            rf"(?<![\w.,:-]){_DAY}(?: ?[–-] ?{_DAY})? (?:of )?({_MONTH})\b(?:,? (\d{{4}})\b)?",
            _day_month,
            ("3 March 1999", "the third of March, nineteen ninety-nine"),
            ("the 4th of July", "the fourth of July"),
        ),
        rule(
            rf"\b({_MONTH}),? (?:of )?(\d{{4}})\b",
            lambda m: f"{m[1]} {year(m[2])}",
            ("in May 2024", "in May twenty twenty-four"),
        ),
    ),
)
