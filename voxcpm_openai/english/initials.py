"""Initials and other letters with dots: "J.K. Rowling", "the U.S. President", "Peter C. Smith"."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, rule, text_after
from voxcpm_openai.english.titles import STARTERS

_ENDS = re.compile(rf"[\"”’)]*(?:$| (?:{STARTERS})\b)")


def _dotted(match: re.Match[str]) -> str:
    """Return "U S" for "U.S."; the last dot stays where the sentence ends."""
    ends = match[0].endswith(".") and _ENDS.match(text_after(match))
    return "\u00a0".join(match[0].replace(".", "")) + ("." if ends else "")


INITIALS = RuleGroup(
    re.compile(r"\b[A-Za-z]\."),
    (
        rule(
            r"(?<![\w.])(?:[A-Z]\.){2,}[A-Z]?(?!\w)",
            _dotted,
            ("the U.S. President", "the U\u00a0S President"),
            ("in the U.S. The house", "in the U\u00a0S. The house"),
            ("J.K. Rowling", "J\u00a0K Rowling"),
        ),
        rule(
            r"(?<![\w.])([a-z])\.([a-z])\.(?!\w)",
            lambda m: f"{m[1].upper()}\u00a0{m[2].upper()}",
            ("the s.d. of it", "the S\u00a0D of it"),
        ),
        rule(
            rf"(?<![\w.])([A-Z])\.(?= (?!(?:{STARTERS})\b)[A-Z]|,)(?<!\bI\.)|(?<![\w.])(I)\."
            r"(?= [A-Z]\. [A-Z])|(?<=[a-z] )(I)\.(?= [A-Z][a-z]+(?:[.,]|$))|^([A-Z])\.(?= [a-z])",
            lambda m: m[1] or m[2] or m[3] or m[4],
            ("Peter C. Smith", "Peter C Smith"),
            ("J. R. R. Tolkien", "J R R Tolkien"),
            ("I. M. Pei", "I M Pei"),
            ("He got a C. The end.", "He got a C. The end."),
            ("E. coli", "E coli"),
        ),
        rule(
            r"(?<=[a-z] )([A-Z])\.(?= (?:coli|aureus|subtilis|elegans|pylori|rex|sapiens"
            r"|cerevisiae|[a-z]+us)\b)",
            r"\1",
            ("and S. aureus", "and S aureus"),
        ),
    ),
)
