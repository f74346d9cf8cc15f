"""Plurals of numbers: "two 5s", "under-21s", "747s", "$20s", "2x4s"; but "wait 15s" is a time."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import cardinal, label, plural
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_LONG = 3
_ROUND = {"10": "tens", "100": "hundreds", "1000": "thousands"}
_TIMED = re.compile(
    r"(?:\b(?:(?:wait|time|delay|pause|duration|timeout) of|in"
    r"|wait|waits|waited|for|after|every|within|took|takes?|lasts?|lasted|than|next|hold"
    r"|rest|sleep|pause|paused|delay|duration|time|timeout|retry|about|around|only|just|another"
    r"|per|takes|was|is|hours?|minutes?|min|h|m)|[~<>=:≈(,]) ?(?:\d+[-–])?$"
)
_SHOWN = re.compile(
    r" (?:timer|delay|timeout|pause|clip|video|ad|spot|limit|window|interval|break|rest|countdown"
    r"|later|ago|left|remaining)\b"
)
_PLURAL = re.compile(
    r"(?:\b(?:two|three|four|five|six|seven|eight|nine|ten|the|all|some|many|these|those|their|his"
    r"|her|my|your|our|more|few|several|pairs? of|rolled|with|both|no|like)|\b\d+) $"
    r"|\b(?:under|over)[-–]$"
)


def _seconds(text: str) -> str:
    return f"{cardinal(text)} second{'' if text == '1' else 's'}"


def _plural(match: re.Match[str]) -> str:
    """Return "fives", or the seconds of a time."""
    text, before, after = match[1], text_before(match), text_after(match)
    if text in _ROUND and re.match(r" of\b", after):
        return _ROUND[text]
    if before.endswith("iPhone "):
        return f"{cardinal(text)} S"
    if _SHOWN.match(after):
        return _seconds(text).removesuffix("s" if before.endswith("a ") else "")
    return _hundreds(text, before) if len(text) >= _LONG else _few(match[0], text, before)


def _hundreds(text: str, before: str) -> str:
    if len(text) == _LONG and _TIMED.search(before):
        return _seconds(text)
    return plural(cardinal(text) if text[-1] == "0" else label(text))


def _few(whole: str, text: str, before: str) -> str:
    """Return the plural of one or two digits; a decade is left to the years."""
    if _PLURAL.search(before):
        decade = text[1:] == "0" and text != "10" and not before.endswith(("-", "–"))
        return whole if decade else plural(cardinal(text))
    if _TIMED.search(before):
        return _seconds(text)
    return plural(cardinal(text)) if len(text) == 1 else whole


PLURALS = RuleGroup(
    re.compile(r"\ds\b|\dh ?\d"),
    (
        rule(
            r"(?<=\d[hH]) ?(\d\d?)m\b",
            r" \1 min",
            ("3h 12m", "three hours twelve minutes"),
        ),
        rule(
            r"(?<![\w.,])(\d\d?)(m|min) ?(?=\d\d?s\b)",
            r"\1 min ",
            ("1m 30s", "one minute thirty seconds"),
        ),
        rule(
            r"(?<![\w.])(\d{1,2})[x×](\d{1,2})s\b",
            lambda m: f"{cardinal(m[1])} by {plural(cardinal(m[2]))}",
            ("cut the 2x4s", "cut the two by fours"),
        ),
        rule(
            r"\$(\d{1,4})s\b",
            lambda m: _ROUND.get(m[1]) or plural(cardinal(m[1])),
            ("in $20s and $1s", "in twenties and ones"),
        ),
        rule(
            r"(?<![\w.,:$€£'’/])(?<!\d-)(\d{1,4})s\b(?!/)(?<!(?:1[1-9]|20)\d0s)",
            _plural,
            ("the under-21s", "the under-twenty-ones"),
            ("a pair of 7s", "a pair of sevens"),
            ("10s of thousands", "tens of thousands"),
            ("Boeing 747s", "Boeing seven forty-sevens"),
            ("two 5s and a pair of 501s", "two fives and a pair of five oh ones"),
            ("Wait 15s, then in 30s stop.", "Wait fifteen seconds, then in thirty seconds stop."),
            ("in the 30s", "in the thirties"),
            ("a 30s timer", "a thirty second timer"),
        ),
    ),
)
"""Runs before the units."""
