"""Powers: "10⁻⁶", "x²", "2^10", "6.02e23", "√2"; other raised numbers are footnotes."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import number
from voxcpm_openai.english.rule import RuleGroup, rule, text_before

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_NAMES = {"2": "squared", "3": "cubed"}


def _raised(base: str, exponent: str) -> str:
    """Return "x squared", or "ten to the power of minus six"."""
    exponent = exponent.translate(_SUPERSCRIPTS).strip("()").replace("−", "-")
    words = number(base) if base[:1].isdigit() else base
    if exponent in _NAMES:
        return f"{words} {_NAMES[exponent]}"
    if exponent.lstrip("+-").isdecimal():
        return f"{words} to the power of {number(exponent)}"
    return f"{words} to the power of {exponent.replace('-', 'minus ')}"


def _power(match: re.Match[str]) -> str:
    """Return a power; after a bracket of words it is a footnote."""
    before = text_before(match)
    inside = before[before.rfind("(") + 1 :]
    if (
        match[1] == ")"
        and match[2]
        and not re.search(r"[=+×÷·*/−^⁰-⁹²³]|\bminus\b|\d|^\w{1,2}$", inside)
    ):
        return match[1]
    return _raised(match[1], match[2] or match[3])


POWERS = RuleGroup(
    re.compile(r"[⁰¹²³⁴-⁹⁻ⁿ^√∛]|\de[-+]?\d"),
    (
        rule(
            r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([-+]?\d+)(?![\w.])",
            lambda m: f"{number(m[1])} times ten to the power of {number(m[2])}",
            ("6.02e23", "six point zero two times ten to the power of twenty-three"),
        ),
        rule(
            r"((?<![\w.])\d+(?:\.\d+)?|(?<![A-Za-z_.'])[a-zA-Zα-ωΑ-Ω]|\))"
            r"(?:([⁻⁺]?[⁰¹²³⁴-⁹]+(?![⁺⁻])|ⁿ)| ?\^ ?(\([-+−]?\w+\)|[-+−]?\w+))",
            _power,
            ("10⁻⁶ per second", "ten to the power of minus six per second"),
            ("x² + y³", "x squared plus y cubed"),
            ("2^10", "two to the power of ten"),
        ),
        rule(
            r"(?<!\d)(?<!\d )\b([A-Za-z])([a-z])([²³])(?![⁺⁻])",
            lambda m: f"{m[1]} {_raised(m[2].upper() if m[1].isupper() else m[2], m[3])}",
            ("E = mc²", "E equals m c squared"),
        ),
        rule(r"√ ?(?=[\w(])", "the square root of ", ("√2", "the square root of two")),
        rule(r"∛ ?(?=[\w(])", "the cube root of ", ("∛8", "the cube root of eight")),
    ),
)
