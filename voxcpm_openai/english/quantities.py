"""Plain numbers: grouped, decimal, signed, in ranges; and those that no other rule has read."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import NUMBER, number, ordinal
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_MEASURED = (
    "year|day|week|month|hour|minute|second|mile|foot|inch|meter|metre|page|point|man|person|star"
    "|time|bit|way|ton|pound|acre|digit|letter|story|door|word|game|seat|room|part|step|piece"
)


def _range(match: re.Match[str]) -> str:
    """Return "five to 10", or "five minus 3" where an equals sign follows."""
    minus = re.match(r"\s*=", text_after(match))
    return f"{match[1]} {'minus' if minus else 'to'} {match[2]}"


def _numeral(match: re.Match[str]) -> str:
    """Return a number in words, apart from letters at its sides."""
    before, after = text_before(match), text_after(match)
    left, right = (" " if char.isalpha() else "" for char in (before[-1:], after[:1]))
    return left + number(match[0].replace(",", "")) + right


GROUPING = RuleGroup(
    re.compile(r"\d[ \u202f'’.,_]\d"),
    (
        rule(
            r"(?<![\w.,+-])(?<!\d )([1-9]\d{0,2}(?:[ \u202f'’]\d{3})+)(?![\w]|[ .,-]?\d)"
            r"|(?<![\w.,])([1-9]\d{0,2}(?:\.\d{3}){2,})(?![\w]|[.,]\d)"
            r"|(?<![\w.,])(\d{1,3}(?:,\d\d)+,\d{3})(?![\w]|[.,]\d)"
            r"|(?<![\w.,])([1-9]\d{0,2}(?:_\d{3})+)(?!\w)",
            lambda m: re.sub(r"\D", "", m[0]),
            ("Some 10 000 people", "Some ten thousand people"),
            ("1.000.000 items", "one million items"),
            ("1,00,000 rupees", "one hundred thousand rupees"),
        ),
        rule(
            r"(?<![\w.,])(?<!\d )([1-9]\d{0,2}(?:[. ]\d{3})+),(\d+)(?![\w]|[.,]\d)",
            lambda m: f"{re.sub(r'[. ]', '', m[1])}.{m[2]}",
            ("1 234,5 km", "one thousand two hundred thirty-four point five kilometers"),
            ("1.234,56", "one thousand two hundred thirty-four point five six"),
        ),
        rule(
            r"(?<![\w.,])(\d+),(\d{1,2}|\d{4,})(?![\w]|[.,]\d)",
            r"\1.\2",
            ("12,5 degrees", "twelve point five degrees"),
        ),
    ),
)
"""Runs before the telephone numbers."""

SIGNED = RuleGroup(
    re.compile(r"[-−–] ?\.?\d"),
    (
        rule(
            r"(?<=\d) ?(?:–|to) ?[-−](?=\d)",
            " to minus ",
            ("-5–-3", "minus five to minus three"),
        ),
        rule(
            r"(?:(?<=^)|(?<=[\s(\[=:<>≤≥“\"'/,]))(?<!\d )(?<!\d')[-−](?=\.?\d)|(?:^|(?<=[a-z(] )|"
            r"(?<=\())–(?=\.?\d)",
            "minus ",
            ("It is not -12 degrees.", "It is not minus twelve degrees."),
            ("goes down to -5°C", "goes down to minus five degrees Celsius"),
            ("Temperature: -3.5", "Temperature: minus three point five"),
            ("–4 degrees", "minus four degrees"),
        ),
        rule(
            r"\b(UTC|GMT) ?[-−–](?=\d)",
            r"\1 minus ",
            ("UTC-5", "U\u00a0T\u00a0C minus five"),
        ),
    ),
)
"""Runs before units and fractions, which a number may belong to."""

QUANTITIES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(r"(?:^|(?<=[\s(–-]))\.(?=\d)", "0.", (".75 of it", "zero point seven five of it")),
        rule(
            rf"(?<![\w.,$€£¥₹/–-])([-−]?{NUMBER}) ?[-–—] ?({NUMBER})"
            r"(?=( ?[%°]| ?[a-zA-Zµ]{1,3}\b|=| ?[-–]|[\s.,;:!?)\]\"”'’]|$))"
            r"(?!-\w| ?[-–] ?\d|[\w./]*\d/)",
            _range,
            ("About 5-10% of them.", "About five to ten percent of them."),
            ("Pages 12–15", "Pages twelve to fifteen"),
            ("5 - 3 = 2", "five minus three equals two"),
            ("15-7=8", "fifteen minus seven equals eight"),
        ),
        rule(
            rf"(?<![\w.,])({NUMBER})-(?=(?:{_MEASURED})\w*\b)",
            lambda m: f"{number(m[1])}-",
            ("a 5-year-old", "a five-year-old"),
        ),
        rule(r"(?<![\w#&])#(?=\d)", "number ", ("#1", "number one")),
        rule(
            rf"(?<![\w.,])({NUMBER})\+(?!\w)",
            lambda m: f"{number(m[1])} plus",
            ("50+ people", "fifty plus people"),
        ),
        rule(r"(?<!\w)~ ?(?=[\d$€£])", "about ", ("~5 km", "about five kilometers")),
        rule(
            r"(?:^|(?<=[^\w)\s>|\]]) ?|(?<=[a-z]{2} ))([<>]) ?(?=\d)",
            lambda m: "less than " if m[1] == "<" else "more than ",
            ("<5 minutes", "less than five minutes"),
            ("used by >50% of them", "used by more than fifty percent of them"),
        ),
    ),
)

NUMERALS = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<!\w)(\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th)\b",
            lambda m: ordinal(int(m[1].replace(",", ""))),
            ("the 21st", "the twenty-first"),
        ),
        rule(
            r"(?<!\d)(?<!\d,)(\d{1,3}(?:,\d{3})+(?!\d|,\d)|[0-9]+)(?:\.([0-9]+))?",
            _numeral,
            ("1,000, 2,000 and 3,000", "one thousand, two thousand and three thousand"),
            ("5 of 1,234", "five of one thousand two hundred thirty-four"),
            ("0.05", "zero point zero five"),
        ),
    ),
)
"""Runs last: the numbers that no other rule has read."""
