"""Two numbers that belong together: "50-50", "9-to-5", "2001-02", "8.5 x 11", "From 3/4 to 3/9"."""

from __future__ import annotations

import re

from voxcpm_openai.english.calendar_names import MONTHS
from voxcpm_openai.english.numbers import (
    NUMBER,
    cardinal,
    digits,
    label,
    number,
    ordinal,
    two_digits,
    year,
)
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_SHARES = "50-50|60-40|70-30|75-25|80-20|90-10"
_SCORED = re.compile(r"\b(?:won|lost|beat|scored?|tied|ahead|led|lead|by|from|of|at) $")
_SIZE = r"(?:\d+(?:\.\d+)?(?: \d/\d+|[½¼¾⅛⅜⅝⅞])?|\.\d+)"
_END = r"(?![\w/]|[.,]\d|-\d)"
_MEASURES = (
    r"cups?|inch(?:es)?|in|miles?|tsps?|tbsps?|teaspoons?|tablespoons?|pounds?|lbs?|ounces?|oz"
    r"|pints?|quarts?|hours?|of|an?|full|the|yards?|acres?|feet|ft"
)
_MEASURED = re.compile(rf"[ -]?(?:(?:{_MEASURES})\b|[\"″”])")
_USUAL = frozenset((2, 3, 4, 8, 16, 32))
_DATED = re.compile(
    r"\b(?:(?:e-?mail|text|memo|news|letter|[Aa]s|message|report) of|EOD|COB|ETA) $"
)
_OCCASION = re.compile(
    r" (?:meeting|event|game|session|class|flight|deadline|show|call|appointment|e-?mail|report"
    r"|election|newsletter|memo|invoice|lecture|concert|release|update|webinar|hearing|statement"
    r"|edition)\b"
)


def _share(match: re.Match[str]) -> str:
    first, second = match[0].split("-")
    if _SCORED.search(text_before(match)):
        return match[0]
    return f"{cardinal(first)} {cardinal(second)}"


def _season(match: re.Match[str]) -> str:
    """Return "two thousand one to oh two" for two years in a row; others are left."""
    if (int(match[1]) + 1) % 100 != int(match[3]):
        return match[0]
    last = "two thousand" if match[3] == "00" else two_digits(match[3])
    return f"{year(match[1])}{' to ' if match[2] != '/' else ' '}{last}"


def _day(text: str) -> str | None:
    """Return "March fourth" for "3/4"."""
    month, day = map(int, text.split("/"))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}"


def _two_days(match: re.Match[str]) -> str:
    """Return two dates, or two fractions with "to" between."""
    lead, first, joint, second = match[1] or "", match[2], match[3], match[4]
    if joint == "and" and lead.lower() != "between ":
        return match[0]
    joint = joint if joint.isalpha() else "to"
    usual = all(int(text.split("/")[1]) in _USUAL for text in (first, second))
    start, end = _day(first), _day(second)
    if usual or not start or not end or _MEASURED.match(text_after(match)):
        return f"{lead}{first} {joint} {second}"
    return f"{lead}{start} {joint} {end}"


def _one_day(match: re.Match[str]) -> str:
    before = text_before(match)
    known = _DATED.search(before) or (
        _OCCASION.match(text_after(match)) and not re.search(r"[a-z] [A-Z]\w+ $", before)
    )
    return (known and _day(match[0])) or match[0]


def _sizes(match: re.Match[str]) -> str:
    """Return "8.5 by 11 inches" for 8.5"x11", and "inch" before a noun."""
    unit = ("foot", "feet") if match[2] in "'′’" else ("inch", "inches")
    single = re.match(r" (?!long|wide|tall|high|deep|and|or|in|on|of|for|to|is|are|with)[a-z]",
                      text_after(match))  # fmt: skip
    return f"{match[1]} by {match[3]} {unit[0 if single else 1]}"


def _by_or_times(match: re.Match[str]) -> str:
    """Return "by", or "times" in an equation."""
    times = "=" in match.string or re.match(r"[\d.]+ ?[⁰¹²³⁴-⁹^]", text_after(match))
    return f"{match[1]} {'times' if times else 'by'} "


PAIRS = RuleGroup(
    re.compile(r"\d ?[-–/k(]|\d[Kb]|/\d+ (?:to|and|th)|\d/\d|\d[-–/'\"′″”*]|[xX×] ?\d|\d ?[xX×]"),
    (
        rule(
            r"(?<![\w.,$€£/-])(401|403|457)\(?([kKb])\)?(?!\w)",
            lambda m: f"{label(m[1])} {m[2].upper()}",
            ("my 401k", "my four oh one K"),
        ),
        rule(
            r"(?<![\w.,$€£/-])1-(8\d\d|900)-(?=[A-Z]{3,})",
            lambda m: f"one, {cardinal(m[1]) if m[1][1:] == '00' else digits(m[1])}, ",
            ("Call 1-800-FLOWERS", "Call one, eight hundred, flowers"),
        ),
        rule(
            rf"(?<![\w.,$€£/-])(?:{_SHARES}|20-20(?= (?:vision|hindsight|eyesight))"
            rf"|10-4(?=[,.!?] (?:good|over|copy)| good)){_END}(?!%)",
            _share,
            ("a 50-50 chance", "a fifty fifty chance"),
            ("the 80-20 rule", "the eighty twenty rule"),
            ("20-20 vision", "twenty twenty vision"),
            ("10-4, good buddy", "ten four, good buddy"),
            ("They won 60-40.", "They won sixty to forty."),
        ),
        rule(
            rf"(?<![\w.,$€£/-])({NUMBER})-(to|on|in|by|for|and|of)-(?=\d)",
            r"\1 \2 ",
            ("a 9-to-5 job", "a nine to five job"),
            ("a 1-on-1 talk", "a one on one talk"),
            ("a 3-in-1 printer", "a three in one printer"),
        ),
        rule(
            r"(?<![\w.,$€£/-])((?:19|20)\d\d)([-–/])(\d\d)(?![\w/]|[.,]\d|-\d)",
            _season,
            ("in 2001-02", "in two thousand one to oh two"),
            ("in 1999-00", "in nineteen ninety-nine to two thousand"),
            ("the 2020/21 season", "the twenty twenty twenty-one season"),
        ),
        rule(
            r"(?<=/\d\d) ?[-–] ?(?=\d\d?/\d\d?/\d\d)|(?<=/\d\d\d\d) ?[-–] ?(?=\d{1,2}/\d{1,2}/)",
            " to ",
            (
                "3/1/24–3/5/24",
                "March first, twenty twenty-four to March fifth, twenty twenty-four",
            ),
        ),
        rule(
            r"(?<![\w.,/-])([Ff]rom |[Bb]etween )?(\d{1,2}/\d{1,2}) ?([-–]|to|through|and|until)"
            rf" ?(\d{{1,2}}/\d{{1,2}}){_END}",
            _two_days,
            ("From 3/4 to 3/9", "From March fourth to March ninth"),
            ("open 5/6-5/9", "open May sixth to May ninth"),
            ("1/4-1/2 tsp", "one quarter to one half teaspoon"),
            ("from 1/2 to 3/4 cup", "from one half to three quarters cup"),
        ),
        rule(
            rf"(?<![\w.,/-])\d{{1,2}}/\d{{1,2}}{_END}",
            _one_day,
            ("your e-mail of 3/14", "your e-mail of March fourteenth"),
            ("by EOD 5/1", "by E\u00a0O\u00a0D May first"),
            ("The 5/12 meeting", "The May twelfth meeting"),
        ),
        rule(
            rf"(?<![\w.])({_SIZE}) ?(''|[\"″”'′’]) ?[xX×] ?({_SIZE})(?:\2(?!\w)|(?![\w.\"'′″”]))",
            _sizes,
            ('8.5"x11"', "eight point five by eleven inches"),
            ('a 2"x4" board', "a two by four inch board"),
            ("a 3'x5' rug", "a three by five foot rug"),
            ("20' × 30'", "twenty by thirty feet"),
        ),
        rule(
            rf"(?<![\w.])({_SIZE}) x (?={_SIZE}(?![\w.]?\w))",
            _by_or_times,
            ("8.5 x 11 paper", "eight point five by eleven paper"),
            ("3 x 4 = 12", "three times four equals twelve"),
            ("5 x 10^3", "five times ten cubed"),
        ),
        rule(
            rf"(?<![\w.])({NUMBER})[x×]({NUMBER})(?= ?= ?\d)",
            lambda m: f"{number(m[1])} times {number(m[2])}",
            ("6x7=42", "six times seven equals forty-two"),
        ),
        rule(
            r"(?:^|(?<=[a-z,] )|(?<=\())[xX×] ?(?=\d{1,3}(?:\)| (?:reps|sets|times)\b))",
            "times ",
            ("squats (x2)", "squats, times two"),
            ("Do x 10 reps", "Do times ten reps"),
        ),
    ),
)
"""Runs before the rules of single numbers."""
