"""What people type: smileys, "I <3 you", menu paths, "y/o", a minus before a letter."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, rule

_SMILEY = r"(?:[:;]['’]?-?[)(DP|*\]\[]+|=[)(DP]+|[:;]-/|[xX]D+|</3)"


def _smiley(match: re.Match[str]) -> str:
    """Return nothing, or the smiley if the text has nothing else that can be said."""
    rest = re.sub(_SMILEY, "", match.string)
    return "" if any(map(str.isalnum, rest)) else match[0]


CHAT = RuleGroup(
    re.compile(
        r"[:;=]['’]?-?[)(DP|*/\]\[]|[xX]D|<[3/]| [>›] |[-−][a-z]\b|[a-z] [-–] [a-z]\b|y/?o\b"
        r"|\d-?ish|[a-z] ?#"
    ),
    (
        rule(
            rf"(?:^|(?<=\s)){_SMILEY}(?=\s|$|[.,!?])",
            _smiley,
            (":P", "P"),
            ("Great :) See you ;-)", "Great See you"),
            ("LOL xD", "L\u00a0O\u00a0L"),
            ("Nice! :D", "Nice!"),
        ),
        rule(
            r"(?:^|(?<!\bis )(?<!\bare )(?<!\bbe )(?<!\bof )(?<!\bat )(?<=[A-Za-z!.,] ))<3"
            r"(?=\s*$|[!.,?)]| (?:you|u|it|this|them|him|her|my|the|that|so)\b)",
            "heart",
            ("I <3 you", "I heart you"),
            ("a score of <3", "a score of less than three"),
        ),
        rule(
            r"(?<=[A-Za-z]{2}) [>›] (?=(?:the )?[A-Z][A-Za-z])",
            ", ",
            ("Settings > Privacy > Location", "Settings, Privacy, Location"),
            ("x > 5 and a > b", "x is greater than five and a is greater than b"),
        ),
        rule(
            r"(?:(?<=\breturn )|(?<=\bis )|(?<=\bby )|(?<=[=+*/^] )|(?<=[=+*/^]))[-−]"
            r"(?=[a-z]\b(?![-'’.]\w))|(?:^|(?<=\())[-−](?=[a-z](?:$|\)| ?[+*/=^²³]))",
            "minus ",
            ("return -x", "return minus x"),
            ("y = -x", "y equals minus x"),
            ("(-h shows it)", "h shows it"),
        ),
        rule(
            r"(?:^|(?<=[\s(]))([b-hj-z]|a) [-–] ([a-z])(?=$|[.,;:?)]| [-+=*/]|²)",
            r"\1 minus \2",
            ("a - b", "a minus b"),
        ),
        rule(
            r"(\d)[ -]?y/?o\b",
            r"\1 year old",
            ("a 45 y/o man", "a forty-five year old man"),
        ),
        rule(r"(?<=\d)-?ish\b", " ish", ("at 3:30ish", "at three thirty ish")),
        rule(
            r"(?<=[a-z]) ?#(?=:| ?$| is\b)",
            " number",
            ("the cell #: 5", "the cell number: five"),
        ),
    ),
)
"""Runs first."""
