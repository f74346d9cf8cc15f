"""What is mathematics only among numbers and letters: "f(x)", "x - y = 0", "2**8"."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_SIGN = re.compile(r"[=+×÷^⁰¹²³⁴-⁹√≤≥≠≈]")
_LEFT = re.compile(r"(?:^|[\s(^×*/+-])(?:[A-Za-z]|\d[\d.,]*[a-z]?|\w*[⁰¹²³⁴-⁹)]|\w+\^\w+)$")
_RIGHT = re.compile(r"(?:[A-Za-z]|\d[\d.,]*[a-z]{0,2}|\w+[\^²³]\w*)(?!\w)|[(√]")


def _dash(match: re.Match[str]) -> str:
    """Return "minus" for a dash with spaces in a formula."""
    before, after = text_before(match), text_after(match)
    formula = _SIGN.search(match.string) and _LEFT.search(before) and _RIGHT.match(after)
    return " minus " if formula else match[0]


def _function(match: re.Match[str]) -> str:
    return f"{match[1]} of {match[2].replace('|', ' given ')}"


MATHEMATICS = RuleGroup(
    re.compile(r" [-–] |\w\(|\w!|\*\*"),
    (
        rule(
            r"(?<=[\w)⁰¹²³⁴-⁹]) [-–] (?=[\w(√])",
            _dash,
            (
                "2^8 - 1 and x - y = 0",
                "two to the power of eight minus one and x minus y equals zero",
            ),
            ("Plan B - a guide", "Plan B — a guide"),
        ),
        rule(
            r"\b([fghFGHOP])\(([^()]{1,9})\)",
            _function,
            ("f(x) = 2x", "f of x equals two x"),
            ("P(A|B)", "P of A given B"),
        ),
        rule(
            r"\b(\d+|[nkm])!"
            r"(?= ?[=+×*/)])",
            r"\1 factorial",
            ("5! = 120", "five factorial equals one hundred twenty"),
        ),
        rule(r"(?<=\w)\*\*(?=[\w(-])", "^", ("2**8", "two to the power of eight")),
    ),
)
