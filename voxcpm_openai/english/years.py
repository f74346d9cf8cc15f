"""Years: "1914–18", "the 1990s", "the '60s", "44 BC", and four digits that count nothing."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import decade, two_digits, year
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_YEAR = r"(?:1[1-9]|20)\d\d"
_START = r"(?<![\w.,:/$€£¥₹#°-])"
_AFTER_WORD = r"(?<=\bpre-)|(?<=\bmid-)|(?<=\bpost-)|(?<=\blate-)|(?<=\bearly-)"
_NO_QUANTITY = (
    r"(?![%°$€£¥:/]|-\d|[.,]\d"
    r"| (?:million|billion|trillion|thousand|dollars|euros|pounds|percent)\b)"
)
_COUNTED = re.compile(
    r"(?: more| other| new| different| square| cubic| extra)*"
    r" (?!(?:was|is|has|as|does|this|plus|minus|times|us|its|his|yes|perhaps|unless|towards|always"
    r"|census|elections?|games|finals|olympics|series|crisis|presidential)\b)(?:[a-z]+s|people"
    r"|men|women"
    r"|children|more|of (?:the|them|these|those|us)|degrees|feet|per)\b"
)
_DATED = re.compile(r"\b(?:[Tt]he|[Ii]n|[Ss]ince|[Bb]y|[Aa]fter|[Bb]efore|[Uu]ntil) $")
_IN = "(?:[Ii]n|[Ss]ince|[Uu]ntil|of|year|[Bb]y|[Ff]rom|and|[Aa]fter|[Bb]efore|[Cc]irca)"


def _span(match: re.Match[str]) -> str:
    last = match[2]
    words = two_digits(last) if len(last) == 2 else year(last)
    return f"{year(match[1])} to {words}"


def _era(match: re.Match[str]) -> str:
    era = "\u00a0".join((match[1] or match[4]).replace(".", ""))
    number = year(match[2] or match[3])
    return f"{era} {number}" if match[1] else f"{number} {era}"


def _lone(match: re.Match[str]) -> str:
    """Read 1100 to 2099 as a year, unless it counts what follows."""
    before, after = text_before(match), text_after(match)
    if before.endswith("-"):
        return year(match[0])
    counted = _COUNTED.match(after) and not _DATED.search(before)
    return match[0] if counted else year(match[0])


YEARS = RuleGroup(
    re.compile(r"\d\d"),
    (
        rule(
            rf"(?<![\w.,$€£¥-])({_YEAR}) ?[–-] ?({_YEAR}|\d\d)(?![\w%]|[.,]\d|-\d| ?=)",
            _span,
            ("1914–1918", "nineteen fourteen to nineteen eighteen"),
            ("1914-18", "nineteen fourteen to eighteen"),
        ),
        rule(
            rf"(?<![\w.,$€£¥-])({_YEAR}) ?[–-] ?(present|now|today|date)\b",
            lambda m: f"{year(m[1])} to {m[2]}",
            ("2005–present", "two thousand five to present"),
        ),
        rule(
            r"(?<![\w.,$€£¥])((?:1[1-9]|20)\d0)['’]?s\b",
            lambda m: decade(m[1]),
            ("the 1990s", "the nineteen nineties"),
            ("the mid-1800s", "the mid-eighteen hundreds"),
        ),
        rule(
            r"(?<![\w.,$€£¥])['’]?([2-9]0)['’]?s\b",
            lambda m: decade(m[1]),
            ("the '90s", "the nineties"),
            ("in his 20s", "in his twenties"),
        ),
        rule(r"(?<![\w.,])['’]?00['’]?s\b", "two thousands", ("the '00s", "the two thousands")),
        rule(
            r"(?<=\bQ\d)['’](\d\d)\b",
            lambda m: f" {two_digits(m[1])}",
            ("Q3'23", "Q three twenty-three"),
        ),
        rule(
            r"(?<![\w'’])['’](\d\d)\b(?!['’])",
            lambda m: two_digits(m[1]),
            ("the class of '99", "the class of ninety-nine"),
        ),
        rule(
            r"\b(AD|A\.D\.|CE) (\d{1,4})\b|\b(\d{1,4}) ?(BCE?|AD|CE|B\.C\.(?:E\.)?|A\.D\.)(?!\w)",
            _era,
            ("in 44 BC", "in forty-four B\u00a0C"),
            ("AD 79", "A\u00a0D seventy-nine"),
        ),
        rule(
            rf"\b({_IN} )(10\d\d)(?=[.,;:!?)]|$| (?:the|by|and|to|at|he|she|it|they|when"
            r"|there|his|her|their|this|no|as|after"
            r"|an?|for|with|under|was|A\.?D|C\.?E)\b"
            r"|(?<=[INSBCinsbc]\w \d{4}) [A-Z][a-z])|\b([Tt]he )(10\d\d)"
            r"(?= (?:invasion|conquest|battle|campaign|crisis|war)\b)",
            lambda m: (m[1] or m[3]) + year(m[2] or m[4]),
            ("in 1066.", "in ten sixty-six."),
            ("In 1066 William came.", "In ten sixty-six William came."),
        ),
        rule(
            rf"(?=[12]\d)(?:{_START}|{_AFTER_WORD}){_YEAR}\b{_NO_QUANTITY}",
            _lone,
            ("ended in 1945.", "ended in nineteen forty-five."),
            ("in 2005, in 1900.", "in two thousand five, in nineteen hundred."),
            ("I have 1984 apples.", "I have one thousand nine hundred eighty-four apples."),
            ("since the pre-1900 days", "since the pre-nineteen hundred days"),
        ),
    ),
)
