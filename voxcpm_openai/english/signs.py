"""Signs that are read as words, wherever they are left."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.english.rule import RuleGroup, rule, text_before

_COMPARED = {
    "=": "equals",
    "≠": "is not equal to",
    "≤": "is less than or equal to",
    "≥": "is greater than or equal to",
    "<": "is less than",
    ">": "is greater than",
    "≈": "is approximately equal to",
    "≡": "is equivalent to",
    "≪": "is much less than",
    "≫": "is much greater than",
    "∝": "is proportional to",
    "∈": "is in",
    "<=": "is less than or equal to",
    ">=": "is greater than or equal to",
    "!=": "is not equal to",
    "==": "equals",
    "=>": "to",
    "->": "to",
}
_WORDS = {
    "→": "to",
    "⇒": "to",
    "←": "from",
    "↔": "to and from",
    "×": "times",
    "÷": "divided by",
    "·": "times",
    "⋅": "times",
    "±": "plus or minus",
    "∞": "infinity",
    "∑": "sum",
    "∫": "integral",
    "∂": "partial",
    "∆": "delta",
    "∇": "del",
    "∀": "for all",
    "∃": "there exists",
    "∅": "empty set",
    "∪": "union",
    "∩": "intersection",
    "∧": "and",
    "∨": "or",
    "¬": "not",
    "√": "square root of",
    "&": "and",
    "%": "percent",
    "‰": "per mille",
    "°": "degrees",
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "+": "plus",
    "−": "minus",
    "@": "at",
    "#": "hash",
    "♯": "sharp",
    "♭": "flat",
    "µ": "micro",
    "Ω": "ohm",
    "№": "number",
    "⌘": "command",
    "⌥": "option",
    "⇧": "shift",
    "\\": "backslash",
}
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
        (
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi "
            "rho sigma sigma tau upsilon phi chi psi omega alpha beta gamma delta epsilon zeta eta "
            "theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
        ).split(),
        strict=True,
    )
)
_SIGNS = _WORDS | _GREEK
_FOLDERS = (
    "src|lib|path|utils|scripts|bin|usr|etc|var|home|docs|tests?|app|public|node_modules|build|dist"
    "|static|api"
)


def _compared(match: re.Match[str]) -> str:
    """Return "is at most", or "at most" where nothing is before it."""
    words = _COMPARED[match[1] or match[2]]
    return (
        f" {words} "
        if re.search(r"[\w)\]]$", text_before(match))
        else words.removeprefix("is ") + " "
    )


def _named(match: re.Match[str]) -> str:
    """Return the name of a mathematical sign or a currency: "⊂" is "subset of"."""
    name = unicodedata.name(match[0], "").lower()
    if unicodedata.category(match[0]) not in ("Sm", "Sc") or not name:
        return match[0]
    return f" {re.sub(r'[^a-z ]|sign|operator|n-ary|su(?:per|b)script', '', name).strip()} "


SIGNS = RuleGroup(
    re.compile(r"[^\w\s.,;:!?'’\"“”‘()—–-]|[Ͱ-Ͽµ_]"),
    (
        rule(
            r"\s*([!=<>]=|[=-]>)\s*|\s*([=≠≤≥≈≡≪≫∝∈])\s*",
            _compared,
            ("if a >= b", "if a is greater than or equal to b"),
            ("If x ≤ 3, a ≠ b", "If x is less than or equal to three, a is not equal to b"),
            ("≈ 5 km", "approximately equal to five kilometers"),
        ),
        rule(
            r"(?<=[\w)|\]]) ?([<>]) ?(?=[\w(-])",
            lambda m: f" {_COMPARED[m[1]]} ",
            ("a < b", "a is less than b"),
        ),
        rule(r"(?<=\d) / (?=\d)", " divided by ", ("10 / 2", "ten divided by two")),
        rule(
            r"\b([a-z])/([a-z])\b(?!/)(?<!y/n)(?<!\w/\w/\w)(?<!w/e)(?<!m/f)",
            r"\1 over \2",
            ("The ratio x/y", "The ratio x over y"),
        ),
        rule(
            rf"(?<![\w/-])(?:{_FOLDERS})(?:/\w+)+|(?<![\w/-])[a-z_]+(?:/[a-z_]+)+(?=/(?!\w))",
            lambda m: m[0].replace("/", " slash "),
            ("see src/lib/foo", "see src slash lib slash foo"),
        ),
        rule(
            r"(?<=[A-Za-z])/(?=[A-Za-z])(?!\w+ (?:on GitHub|repo))",
            " ",
            ("TCP/IP and on/off", "T\u00a0C\u00a0P I\u00a0P and on off"),
            ("user/repo on GitHub", "user slash repo on GitHub"),
        ),
        rule(r"§§ ?", "sections ", ("§§ 5-7", "sections five to seven")),
        rule(r" ?/+ ?", " slash ", ("50 / fifty", "fifty slash fifty")),
        rule(r"&{2,}", " and ", ("a && b", "a and b")),
        rule(r"[®™℠]", "", ("Acme™", "Acme")),
        rule(r"(?<=[\w)])\*(?=[\w(])| \* ", " times ", ("3 * x", "three times x")),
        rule(
            f"[{re.escape(''.join(_SIGNS))}]",
            lambda m: f" {_SIGNS[m[0]]} ",
            ("salt & pepper", "salt and pepper"),
            ("π and Δx", "pi and delta x"),
            ("A → B", "A to B"),
        ),
        rule(r"[|•‣]", ", ", ("a | b", "a, b")),
        rule(r"[^\x00-\x7f\w\s]", _named, ("A ⊂ B", "A subset of B")),
    ),
)
