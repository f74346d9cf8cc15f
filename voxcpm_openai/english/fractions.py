"""Two numbers with a sign between: fractions, ratings, dimensions, "24/7", "16:9"."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.english.numbers import cardinal, fraction, label, mixed, number, ordinal
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_BEFORE = r"(?<![\w.,$€£¥₹/-])"
_DECIMAL = r"\d+(?:\.\d+)?"
_LENGTHS = r"(?:[cmk]?m|in|ft|px|pixels|inch(?:es)?|feet|meters|millimeters|centimeters)\b"

_RATED = re.compile(
    r"(?i)\b(?:rat(?:ed?|ing)s?|scor(?:ed?|ing)|gave|given|give|grade|got|stars?|solid|marks?|test"
    r"|quiz|exam|pain)\b"
)
# "4/5 users", but "3/4 cups": a plural that is no measure.
_PEOPLE = re.compile(
    r" (?!cups|hours|miles|inches|teaspoons|tablespoons|pounds|ounces|liters|meters|quarts"
    r"|pints|is\b"
    r"|was\b|has\b|as\b|yards|acres|feet)(?:[a-z]+s|people|men|women|children)\b"
)
_PAIRS = {(50, 50), (60, 40), (80, 20), (70, 30), (90, 10), (40, 40), (40, 60), (20, 80), (30, 70)}


def _over(match: re.Match[str]) -> str:
    """Return a rating, a fraction, or "one twenty over eighty"."""
    first, second = match[1], match[2]
    before, after = text_before(match), text_after(match)
    top, bottom = float(first), int(second)
    rated = _RATED.search(before) or re.match(r" stars?\b", after)
    of = re.match(r" (?:of|inch|mile|cup|hour|an?|the|majority)\b", after)
    usual = (bottom in (10, 100) or top == bottom) and not of
    if (top, bottom) in _PAIRS:
        return f"{cardinal(first)} {cardinal(second)}"
    if top <= bottom and bottom > 1 and (usual or (rated and not of) or "." in first):
        return f"{number(first)} out of {cardinal(second)}"
    if re.match(r"-[a-z]", after) and 0 < top < bottom:
        return fraction(int(top), bottom).removesuffix("s")
    if _PEOPLE.match(after) and 1 < top < bottom <= 10:
        return f"{cardinal(first)} out of {cardinal(second)}"
    if "." not in first and (0 < top < bottom <= 100 or (bottom == 2 and top < 10)):
        return fraction(int(top), bottom)
    return f"{number(first)} over {cardinal(second)}"


def _ordinal_below(match: re.Match[str]) -> str:
    """Return "three hundredths" for "3/100ths"."""
    below = ordinal(int(match[2]))
    return (
        f"one {below}" if match[1] == "1" else f"{cardinal(match[1])} {below.removeprefix('one ')}s"
    )


def _vulgar(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[2]).partition("⁄")
    end = " " if match[3] else ""
    if match[1]:
        return mixed(match[1], int(top), int(bottom)) + end
    lead = " " if match[0][0] == " " else ""
    return lead + fraction(int(top), int(bottom)) + end


def _by(match: re.Match[str]) -> str:
    sides = [side for side in match.groups() if side]
    read = label if all(side.isdecimal() for side in sides) else number
    return " by ".join(map(read, sides))


def _times(match: re.Match[str]) -> str:
    """Return "ten times", or "two x" in a formula."""
    formula = re.search(r"[=√+<>^]", match.string) or text_after(match).startswith(")")
    last = f" to {number(match[2])}" if match[2] else ""
    return f"{number(match[1])}{last} {'x' if formula else 'times'}"


ALWAYS = RuleGroup(
    re.compile(r"\d/\d"),
    (
        rule(
            r"(?<![\w./-])(24/7(?:/365)?|(?<!on )9/11|20/20)(?![\w/]|[.,]\d)",
            lambda m: " ".join(label(side) for side in m[1].split("/")),
            ("Open 24/7.", "Open twenty-four seven."),
            ("after 9/11", "after nine eleven"),
        ),
        rule(
            r"(?<=[a-z]-)9/11(?![\w/])",
            "nine eleven",
            ("the post-9/11 world", "the post-nine eleven world"),
        ),
    ),
)
"""Runs before the dates."""

FRACTIONS = RuleGroup(
    re.compile(r"\d ?[/x×:*] ?\d|[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]|\d[x×]"),
    (
        rule(
            rf"{_BEFORE}(\d+)[ -](\d{{1,2}})/(\d{{1,3}})(?![\w/]|[.,]\d)",
            lambda m: mixed(m[1], int(m[2]), int(m[3])),
            ("2 1/2 cups", "two and a half cups"),
        ),
        rule(
            r"(?:(\d+) ?|(?<!\w) )?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])(?:(?=\W|$)|(?=(\w)))",
            _vulgar,
            ("Add 2½ cups", "Add two and a half cups"),
            ("⅛ cup", "one eighth cup"),
        ),
        rule(
            rf"{_BEFORE}(\d+)/(\d+)(?:st|nd|rd|th)s?\b",
            _ordinal_below,
            ("3/100ths of it", "three hundredths of it"),
        ),
        rule(
            rf"{_BEFORE}({_DECIMAL})/(\d+)(?![\w/]|[.,]\d)",
            _over,
            ("1/4 of a lemon", "one quarter of a lemon"),
            ("Rated 5/5 stars, 10/10.", "Rated five out of five stars, ten out of ten."),
            ("4/5 users, a 3/4-inch gap", "four out of five users, a three quarter-inch gap"),
            ("120/80", "one hundred twenty over eighty"),
            ("R&D at 50/50", "R and D at fifty fifty"),
            ("a 7.5/10 game", "a seven point five out of ten game"),
        ),
        rule(
            rf"(?<![\w.])({_DECIMAL})[x×]({_DECIMAL})(?:[x×]({_DECIMAL}))?(?![\w.]?\d"
            rf"|[⁻⁺⁰¹²³⁴-⁹^])",
            _by,
            ("a 3×4 m room", "a three by four meter room"),
            ("4x100m, 1920x1080", "four by one hundred meters, nineteen twenty by ten eighty"),
        ),
        rule(
            rf"(?<![\w.])({_DECIMAL}) [x×] ({_DECIMAL})(?: [x×] ({_DECIMAL}))?(?= ?{_LENGTHS})",
            _by,
            ("2 x 3 x 4 cm", "two by three by four centimeters"),
        ),
        rule(
            rf"(?<![\w.])({_DECIMAL})(?:[-–]({_DECIMAL}))?[x×](?!\w)",
            _times,
            ("1.5–2x longer", "one point five to two times longer"),
            ("10x faster", "ten times faster"),
        ),
    ),
)
