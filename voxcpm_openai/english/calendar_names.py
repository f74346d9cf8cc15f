"""Abbreviated months and days: "Jan. 5", "Mon–Fri"; "I met Jan." and "the Sun" stay."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, alternatives, rule

MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
).split("|")
_SHORT_MONTHS = {name[:3]: name for name in MONTHS if name != "May"} | {"Sept": "September"}
_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Weds": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_NAMES = _SHORT_MONTHS | _DAYS
SHORT_NAMES = frozenset(_NAMES)
"""What a text with an abbreviated month or day has."""
_MONTH, _DAY = alternatives(_SHORT_MONTHS), alternatives(_DAYS)
_ANY_MONTH = alternatives([*MONTHS, *_SHORT_MONTHS])
_ANY_DAY = rf"(?:{_DAY}|{alternatives(_DAYS.values())})"
# Those that are nothing else: "Jan", "Mar" and "Dec" are names, "Mon", "Wed", "Sat", "Sun" words.
_CLEAR = "Feb|Apr|Aug|Sept|Sep|Oct|Nov|Tues|Tue|Thurs|Thur|Thu|Fri"
_DASH = r" ?[–-] ?"
# The dot goes with the abbreviation, unless it ends the sentence as well.
_DOT = r"\b(?:\.(?!$| [A-Z](?!\w*\.? \d)))?"


def _name(match: re.Match[str]) -> str:
    return _NAMES[next(filter(None, match.groups()))]


CALENDAR = RuleGroup(
    re.compile(rf"\b(?:{_MONTH}|{_DAY})\b"),
    (
        rule(
            rf"\b({_MONTH})\b\.?(?=,? '?\d)|(?<=\d )({_MONTH}){_DOT}|"
            rf"(?<=\d[a-z][a-z] )({_MONTH}){_DOT}",
            _name,
            ("Jan. 5", "January fifth"),
            ("on 5 Sept. 2001", "on the fifth of September, two thousand one"),
            ("I met Jan. We ate.", "I met Jan. We ate."),
        ),
        rule(
            rf"\b({_MONTH})\b\.?(?={_DASH}(?:{_ANY_MONTH})\b)|(?<=[a-z][–-])({_MONTH}){_DOT}"
            rf"|(?<=[a-z]\.[–-])({_MONTH}){_DOT}",
            _name,
            ("Jan–Mar", "January to March"),
        ),
        rule(
            rf"\b({_DAY})\b\.?(?=,? (?:(?:{_ANY_MONTH})\b\.? )?\d|{_DASH}(?:{_ANY_DAY})\b)"
            rf"|(?<=[a-z][–/-])({_DAY}){_DOT}|(?<=[a-z]\.[–-])({_DAY}){_DOT}|\b({_DAY})(?=/"
            rf"(?:{_DAY})\b)",
            _name,
            ("Mon., Jan. 5", "Monday, January fifth"),
            ("Look at the Sun. Call Ed.", "Look at the Sun. Call Ed."),
        ),
        rule(
            rf"\b({_CLEAR}){_DOT}(?!['’]\w)|\b({_MONTH}|Mon|Wed|Fri)\.(?= [a-z]|,)",
            _name,
            ("Feb. was cold", "February was cold"),
            ("Jan. and Feb. were cold", "January and February were cold"),
            ("on Tues. and Thurs.", "on Tuesday and Thursday."),
        ),
        rule(
            rf"\b({_ANY_MONTH}|{_ANY_DAY}){_DASH}(?=(?:{_ANY_MONTH}|{_ANY_DAY})\b)",
            r"\1 to ",
            ("Mon–Fri", "Monday to Friday"),
        ),
    ),
)
