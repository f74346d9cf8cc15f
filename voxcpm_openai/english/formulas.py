"""Letters with signs and digits: "H₂O", "C#", "R&D", "MP3", "COVID-19", "401(k)"."""

from __future__ import annotations

import re

from voxcpm_openai.english.capitals import is_word, spelled
from voxcpm_openai.english.numbers import cardinal, digits, label, plural
from voxcpm_openai.english.rule import RuleGroup, rule

_ELEMENTS = (
    "He|Li|Be|Ne|Na|Mg|Al|Si|Cl|Ar|Ca|Sc|Ti|Cr|Mn|Fe|Co|Ni|Cu|Zn|Ga|Ge|As|Se|Br|Kr|Rb|Sr|Zr|Nb|Mo"
    "|Ag|Cd|In|Sn|Sb|Te|Xe|Cs|Ba|Pt|Au|Hg|Pb|Bi|Ra|Th|Pu|[HBCNOFPSKVIYWU]"
)
_ISOTOPES = (
    "carbon|uranium|plutonium|iodine|cesium|caesium|cobalt|strontium|potassium|helium|oxygen"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉²³", "012345678923")
# Letters and digits that form a formula: with a digit inside, or subscripts, or "O2".
_FORMULA = (
    r"(?<![A-Za-z_-])(?=[A-Z(][A-Za-z()]*[\d₀-₉])"
    r"(?=[A-Z][A-Za-z\d₀-₉()]*(?:[A-Z(]|[₀-₉]|\b[HOCN]2\b|\d$))"
    rf"(?:\(?(?:{_ELEMENTS})\)?[\d₀-₉]{{0,2}}){{2,}}(?:[²³]?[⁺⁻])?(?![\w-])"
    rf"|\b(?:{_ELEMENTS})[₀-₉]+(?!\w)|\b[HNO][23]\b"
    r"|\b(?:NaCl|HCl|NaOH|KCl|KOH|AgCl|MgO|CaO|ZnO|CuO|FeO)\b"
)


def _formula(match: re.Match[str]) -> str:
    """Return "H two O" for "H2O"."""
    pieces = re.findall(r"[A-Za-z]|[\d₀-₉]+|[²³⁺⁻]", match[0])
    plain = (piece.translate(_SUBSCRIPTS) for piece in pieces)
    spoken = (cardinal(piece) if piece.isdecimal() else piece.upper() for piece in plain)
    return " ".join(spoken).replace("⁺", "plus").replace("⁻", "minus")


def _ion(match: re.Match[str]) -> str:
    count = f" {cardinal(match[2].translate(_SUBSCRIPTS))}" if match[2] else ""
    return f"{spelled(match[1])}{count} {'plus' if match[3] in '+⁺' else 'minus'}"


def _plan(match: re.Match[str]) -> str:
    """Return "four oh one K" for "401(k)"."""
    letters = re.findall(r"\((\w)\)", match[0])
    spoken = [cardinal(char) if char.isdigit() else char.upper() for char in letters]
    return " ".join([label(match[1]), *spoken])


def _mixed(match: re.Match[str]) -> str:
    """Return the letters and numbers of a name such as "MP3" or "GPT-4o"."""
    words: list[str] = []
    for piece in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\.?\d+", match[0]):
        if piece[0] == ".":
            words.append(f"point {digits(piece)}")
        elif piece.isdigit():
            words.append(label(piece))
        elif piece == "s" and len(words) > 1 and match[0][0].isupper():
            words[-1] = plural(words[-1])
        elif len(piece) == 1 or (piece.isupper() and not is_word(piece)):
            words.append(spelled(piece))
        else:
            words.append(piece)
    return " ".join(words)


FORMULAS = RuleGroup(
    re.compile(
        r"A[–-]Z\b|[A-F][-−](?!\w)|[A-Z]\+|[A-Z][&#♯♭/]|[A-Z] & [A-Z]|[A-Za-z][\d₀-₉⁺⁻²³]"
        r"|\d[A-Za-z(]"
        r"|[A-Za-z]-\d|[¹²³⁰⁴-⁹][A-Z]"
        r"|\b(?:pH|NaCl|HCl|NaOH|KCl|KOH|AgCl|MgO|CaO|ZnO|CuO|FeO)\b"
    ),
    (
        rule(r"\bA[–-]Z\b", "A to Z", ("the A–Z guide", "the A to Z guide")),
        rule(
            r"(?:(?<=\ban )|(?<=\ba ))([A-F])[-−]"
            r"(?![\w-])",
            r"\1 minus",
            ("an A-.", "an A minus."),
        ),
        rule(r"\bI/O\b", "I\u00a0O", ("fast I/O", "fast I\u00a0O")),
        rule(r"\bIPv(?=[46])", "I\u00a0P V ", ("IPv6", "I\u00a0P V six")),
        rule(r"\bpH\b", "P\u00a0H", ("a pH of 7", "a P\u00a0H of seven")),
        rule(
            r"\b([A-G])[#♯](m\b)?(?!\w)",
            lambda m: f"{m[1]} sharp" + (" minor" if m[2] else ""),
            ("C# and F♯", "C sharp and F sharp"),
        ),
        rule(r"\b([A-G])♭", r"\1 flat", ("in B♭", "in B flat")),
        rule(r"\b([A-Z])\+\+", r"\1 plus plus ", ("in C++", "in C plus plus")),
        rule(
            r"\b([A-Z]{1,3}) ?& ?([A-Z]{1,3})(s?)\b(?![a-z])",
            lambda m: f"{spelled(m[1])} and {spelled(m[2])}{m[3]}",
            ("R&D and AT&T", "R and D and A\u00a0T and T"),
        ),
        rule(r"\b([BCDGPM])2([BCGPM])\b", r"\1 to \2", ("B2B", "B to B")),
        rule(
            _FORMULA,
            _formula,
            ("CO2 and H2O", "C O two and H two O"),
            ("H₂SO₄", "H two S O four"),
            ("SO₄²⁻", "S O four two minus"),
        ),
        rule(
            r"(?<!\w)([¹²³⁰⁴-⁹]{2,3})(?!(?:As|At|He|In|No|Be|I)\b)([A-Z][a-z]?)(?!\w)",
            lambda m: f"{spelled(m[2])} {label(str(int(m[1].translate(_SUPERSCRIPTS))))}",
            ("¹⁴C", "C fourteen"),
        ),
        rule(
            r"\b(Na|K|Ca|Mg|Fe|Cu|Zn|Al|Li|Ag|H|Cl|OH)([2-4₂-₄²³])?([+⁺⁻])(?=[ .,;:)]|$)",
            _ion,
            ("Ca2+ and Na⁺", "C\u00a0A two plus and N\u00a0A plus"),
        ),
        rule(
            r"\b([a-z]|[A-Z])[₀-₉]+",
            lambda m: m[1] + " " + cardinal(m[0][1:].translate(_SUBSCRIPTS)),
            ("x₁", "x one"),
        ),
        rule(
            r"(?<![\w.,])(\d)([DGK])\b",
            lambda m: f"{cardinal(m[1])} {m[2]}",
            ("3D and 5G", "three D and five G"),
        ),
        rule(
            r"\b(\d+)e(rs)\b",
            lambda m: (words := cardinal(m[1])) + ("" if words.endswith("e") else "e") + m[2],
            ("the 49ers and 76ers", "the forty-niners and seventy-sixers"),
        ),
        rule(
            r"\b([1-9]\d\d)\([a-z]\)(?:\(\w\))?",
            _plan,
            ("a 401(k) plan", "a four oh one K plan"),
        ),
        rule(
            rf"(?i:\b({_ISOTOPES}))-(\d{{1,3}})\b",
            lambda m: f"{m[1]} {label(m[2])}",
            ("uranium-235", "uranium two thirty-five"),
        ),
        rule(
            r"(?<![\w.])(?:[A-Z][A-Za-z]*|[a-z]{1,8}[A-Z][a-z]+|[a-z]{1,2})(?:-?\d+)+(?:\.\d+)?"
            r"(?:-?[A-Za-z]{1,4})?\b(?!\.\d|[°%])",
            _mixed,
            ("an MP3 file", "an M\u00a0P three file"),
            ("two MP3s", "two M\u00a0P threes"),
            ("COVID-19 and UTF-8", "COVID nineteen and U\u00a0T\u00a0F eight"),
            ("GPT-4o", "G\u00a0P\u00a0T four O"),
            ("PM2.5", "P\u00a0M two point five"),
        ),
    ),
)
