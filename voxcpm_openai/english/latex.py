r"""LaTeX as chat models write it: "\frac{1}{2}", "x \leq 5", "10^{-3}", "\boxed{36}".

Commands become the signs that other rules read, or words.  Formatting is dropped; an unknown
command is its name.
"""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import fraction
from voxcpm_openai.english.rule import Rule, RuleGroup, alternatives, rule, text_before

_SIGNS = {
    "times": "×", "cdot": "·", "div": "÷", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "neq": "≠", "ne": "≠", "approx": "≈", "pm": "±", "mp": "minus or plus", "to": "→",
    "rightarrow": "→", "Rightarrow": "implies", "implies": "implies", "iff": "if and only if",
    "infty": "infinity", "in": "∈", "notin": "is not in", "cup": "∪", "cap": "∩",
    "subset": "is a subset of", "subseteq": "is a subset of", "equiv": "≡", "sim": "is similar to",
    "propto": "∝", "partial": "partial", "nabla": "del", "forall": "for all",
    "exists": "there exists", "ldots": "…", "dots": "…", "cdots": "…", "circ": "°",
    "degree": "°", "angle": "angle", "sin": "sine", "cos": "cosine", "tan": "tangent",
    "log": "log", "ln": "natural log", "exp": "exp", "lim": "the limit of", "max": "max",
    "min": "min", "sum": "the sum of", "prod": "the product of", "int": "the integral of",
    "land": "and", "lor": "or", "neg": "not", "mid": "given", "gt": ">", "lt": "<",
    "quad": " ", "qquad": " ", "therefore": "therefore", "because": "because", "emptyset": "∅",
    "perp": "is perpendicular to", "parallel": "is parallel to", "hbar": "h bar", "ell": "l",
    "varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
    " upsilon phi chi psi omega"
).split()
_SIGNS |= {letter: letter for letter in _GREEK}
_SIGNS |= {letter.capitalize(): letter for letter in _GREEK}
_SETS = {
    "R": "the real numbers",
    "N": "the natural numbers",
    "Z": "the integers",
    "Q": "the rational numbers",
    "C": "the complex numbers",
}
_BIG = {"sum": "the sum", "prod": "the product", "int": "the integral"}
_FORMATS = (
    "text|textbf|textit|textrm|mathrm|mathbf|mathit|mathcal|mathsf|operatorname|boxed|mbox|emph"
    "|underline|overline|bar|hat|vec|tilde|dot|color|label|tag|ce|fbox|pmod|mathbb"
)
_DROPPED = (
    "left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|textstyle|limits|nolimits|hline|nonumber|notag"
)
_TEX = r"(?<![A-Za-z]:)(?<![A-Za-z]\\)"
_ROOTS = {"3": "cube root", "4": "fourth root", "n": "nth root"}


def _fraction(match: re.Match[str]) -> str:
    """Return "one half", or "a plus b over c"."""
    top, bottom = match[1].strip(), match[2].strip()
    if top.isdecimal() and bottom.isdecimal() and 1 < int(bottom) <= 100:
        if text_before(match)[-1:].isdecimal():
            return f" {top}/{bottom} "
        if int(top) < 100:
            return f" {fraction(int(top), int(bottom))} "
    return f" {top} over {bottom} "


def _power(match: re.Match[str]) -> str:
    """Return a sign that other rules read, or words for a longer exponent."""
    exponent = match[1].strip()
    if exponent in ("2", "3"):
        return "²³"[int(exponent) - 2]
    if exponent in ("circ", "\\circ", "°"):
        return "°"
    if re.fullmatch(r"[-+−]?\w{1,3}", exponent):
        return f"^{exponent}"
    return f" to the power of {exponent} "


def _root(match: re.Match[str]) -> str:
    return f" the {_ROOTS.get(match[1] or '', 'square root')} of {match[2]} "


def _command(match: re.Match[str]) -> str:
    return f" {_SIGNS[match[1]]} "


_INNER: tuple[Rule, ...] = (
    rule(
        r"\\mathbb ?\{?([RNZQC])\}?(?![A-Za-z])",
        lambda m: f" {_SETS[m[1]]} ",
        (r"x \in \mathbb{R}", "x is in the real numbers"),
    ),
    rule(
        rf"\\(?:{_FORMATS})\{{([^{{}}]*)\}}",
        r" \1 ",
        (r"It is \boxed{36}.", "It is thirty-six."),
        (r"\text{area} = 5", "area equals five"),
    ),
    rule(
        r"\\(sum|prod|int)_\{?([^{}^]{1,20}?)\}?\^\{?(\\?\w+)\}?",
        lambda m: f" {_BIG[m[1]]} from {m[2]} to {m[3]} of ",
        (r"\sum_{i=1}^{n} i", "the sum from i equals one to n of i"),
    ),
    rule(
        r"\\log_(?:\{(\w+)\}|(\w))",
        lambda m: f" log base {m[1] or m[2]} of ",
        (r"\log_{10} 100", "log base ten of one hundred"),
    ),
    rule(
        r"\\binom\{([^{}]*)\}\{([^{}]*)\}",
        r" \1 choose \2 ",
        (r"\binom{n}{k}", "n choose k"),
    ),
    rule(
        r"\\lim_\{([^{}]{1,20})\}",
        r" the limit as \1 of ",
        (r"\lim_{x \to 0} x", "the limit as x to zero of x"),
    ),
    rule(
        r"(?<=[\w)}\]|°]) ?\^ ?(?:\{([^{}]*)\})",
        _power,
        ("10^{-3}", "ten to the power of minus three"),
        ("x^{2} + y^{n+1}", "x squared plus y to the power of n plus one"),
    ),
    rule(r"(?<=[\w)}\]])_\{([^{}]*)\}", r" \1 ", ("x_{1} = 5", "x one equals five")),
    rule(
        r"\\sqrt(?:\[(\w)\])?\{([^{}]*)\}",
        _root,
        (r"\sqrt{16} = 4", "the square root of sixteen equals four"),
        (r"\sqrt[3]{8}", "the cube root of eight"),
    ),
    rule(
        r"\\[dtc]?frac ?\{([^{}]*)\} ?\{([^{}]*)\}",
        _fraction,
        (r"\frac{1}{2}", "one half"),
        (r"\frac{a+b}{c}", "a plus b over c"),
        (r"2\frac{1}{2} cups", "two and a half cups"),
        (r"\frac{\sqrt{x}}{x^{2}}", "the square root of x over x squared"),
    ),
)

LATEX = RuleGroup(
    re.compile(
        r"(?s)\A(?=[^\\^_]*[\\^_])(?!.*\b[A-Za-z]:\\|.*\\\\\w)"
        r"(?=.*?(?:\\[A-Za-z]{2}|\\[%$,;!(){}\[\]#&]|\^|_\{))"
    ),
    (
        rule(
            r"\\([%$#&_])",
            r"\1",
            (r"50\% of \$5", "fifty percent of five dollars"),
        ),
        rule(
            rf"{_TEX}\\(?:begin|end)\{{[a-z*]+\}}|{_TEX}\\(?:{_DROPPED})(?![A-Za-z])|\\[,;!:()\[\]]"
            r"|\\\\(?=\s|$)",
            " ",
            (r"\(x \, y\)", "x y"),
            (r"\left( a + b \right)", "a plus b"),
        ),
        rule(
            r"(?<![\w$])\$(?=[^\s\d$])([^$]*[\\^][^$]*)\$(?![\w$])",
            r"\1",
            (r"so $x \leq 5$ here", "so x is less than or equal to five here"),
        ),
        *_INNER,
        *_INNER,
        rule(
            r"\\circ\b(?<=\^\\circ)",
            "°",
            (r"90^\circ", "ninety degrees"),
        ),
        rule(
            r"(?<![A-Za-z:\\])([A-Za-z])([A-Za-z])(?=[²³]|\^[\w-])",
            r"\1 \2",
            ("E=mc^2 and ax^2", "E equals m c squared and a x squared"),
            ("by^n", "b y to the power of n"),
        ),
        rule(
            rf"{_TEX}\\({alternatives(_SIGNS)})(?![A-Za-z])",
            _command,
            (r"2 \times 3 \neq 7", "two times three is not equal to seven"),
            (r"\alpha \leq \beta", "alpha is less than or equal to beta"),
            (r"x \to 0", "x to zero"),
            (r"5 \pm 1 \cdot x", "five plus or minus one times x"),
        ),
        rule(
            r" {2,}",
            " ",
            (r"\left(\frac{a}{b}\right)^2", "a over b, squared"),
            (r"about 5\,\text{cm}", "about five centimeters"),
            (r"\sqrt{b^2 - 4ac}", "the square root of b squared minus four ac"),
        ),
        rule(r"\^°", "°", ("45^°", "forty-five degrees")),
        rule(
            r"(?<![\w:\\.])\\([A-Za-z]{2,})(?![\w\\.])",
            r" \1 ",
            (r"the \heartsuit sign", "the heartsuit sign"),
            (r"in C:\Users\me", "in C colon backslash Users backslash me"),
        ),
    ),
)
"""Runs first."""
