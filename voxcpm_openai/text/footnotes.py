"""Footnote marks, which are not read aloud, and the powers that look like them."""

from __future__ import annotations

import re

from voxcpm_openai.text.abbreviations import MONTH, NUMBERED
from voxcpm_openai.text.script import WIDE

_DIGIT = "⁰¹²³⁴-⁹"
_OPENERS = "\"'“‘«‹([{„"
_NOTE_AFTER = frozenset(".,;:!?…\"'”’»›%™®†‡。，、；：！？」』】》")
_WIDE = re.compile(f"[{WIDE}]")

# A superscript number, or several: ¹⁴, ⁻⁶, ²⁺, ¹,².
_SUPERSCRIPT = re.compile(rf"[⁺⁻]?[{_DIGIT}]+(?:[,·⁻–-][{_DIGIT}]+)*[⁺⁻]?")
_LETTERS = re.compile(r"[A-Za-zÀ-ɏͰ-Ͽ\u0400-\u04ffµΩÅ∆]+$")
_LATER_LINE = re.compile(r"\s+[^\W\d_]")

# Words whose power is meant: units with their prefixes, functions, and the like.
_UNIT = re.compile(
    "(?:da|[YZEPTGMkhdcmµμunpf])?(?:m|g|s|A|K|mol|cd|Hz|N|Pa|J|W|C|V|F|S|Wb|T|H|lm|lx|Bq|Gy|Sv|l|L"
    "|eV|pc|Wh|Ω)|ft|yd|mi|nmi|sq|lb|lbs|oz|gal|psi|ly|au|AU|px|hr|hrs|sec|ha|rad|sr|bar|atm|rpm"
    "|м|км|см|мм|дм|мкм|кг|га|сек"
    "|sin|cos|tan|cot|csc|sinh|cosh|tanh|log|ln|lg|exp|arcsin|arccos|arctan|mc|CO|d[a-z]"
    "|[ΔδΑ-Ωα-ω∂∆]{1,2}[A-Za-z]"
)
# Units that are also words, or written out, count only after a number.
_UNIT_AFTER_NUMBER = re.compile(
    "as|am|pm|at|us|um|hm|Ms|Mt|in|min|bar|are|ha|sec|mi|mil|do|inch|inches|foot|feet|yards?|miles?"
    "|(?:kilo|centi|milli|deci|nano|micro)?met(?:er|re)s?|seconds?|hours?|days?|cc|cu|acres?"
)
_NUMBER_BEFORE = re.compile(r"(?:\d\s?|[\w)][/·⋅×*])$")
_OPERATOR_BEFORE = re.compile(r"(?:[+=×·⋅*<>≤≥≈]\s?|\s[-−]\s|\d)$")
_OPERATOR_AFTER = re.compile(r"\s?[+=×·⋅*<>≤≥≈]|\s[-−]\s(?:\d|\w\b)")

# ¹⁴C and the like; those whose symbol is also a word, with the mass numbers that occur.
_ISOTOPE = re.compile(
    "(?:[BCFHKNOPSUVWY]|A[cglmru]|B[aehikr]|C[adeflmorsu]|D[bsy]|E[rsu]|F[emr]|G[ade]|H[fgs]|I[r]"
    "|K[r]|L[airuv]|M[cdgnot]|N[abdeip]|O[gs]|P[abdmortu]|R[abefghnu]|S[bcegimnr]|T[abcehilms]"
    "|X[e]|Y[b]|Z[nr])(?![A-Za-z])"
)
_ISOTOPE_WORD = re.compile(
    "(?:[³⁴]He|¹²[³⁴⁵⁷⁹]I|¹³[¹²³]I|¹¹[¹³⁵]In|⁷[³⁴⁵⁶]As|²¹¹At|(?:⁷|⁹|¹⁰)Be)(?![A-Za-z])"
)

_PRODUCT = re.compile("(?!my|by|ex|ox)[a-z][xyz]")
"""Two letters of a formula, such as ``ax``; words that end so are left out."""
_PROSE_WORD = re.compile(r"[^\W\d_]{2,}")
_FUNCTIONS = frozenset("sin cos tan log ln exp sqrt min max abs sinh cosh tanh".split())

# [^1], and the citations of OpenAI's file search.
_MARKDOWN = re.compile(
    r"^\[\^[^\]\s]{1,40}\]:\s*|\[\^[^\]\s]{1,40}\]|【\d{1,4}(?::\d{1,4})?†[^】]{0,99}】"
)
_BRACKETS = re.compile(
    r"(?<=[^\s\[\]])(?:\[(?:\d{1,3}(?:[,–-] ?\d{1,3}){0,9}|(?:note|nb|n|N) \d{1,3})\])++"
    r"(?![\[(A-Za-z0-9_])"
)
_LAST_WORD = re.compile(r"[\w'’-]+$")
_YEAR = re.compile(r"[12]\d{3}")
_CODE_NAME = re.compile(
    r".*[_\d].*|[a-z]+[A-Z].*|.|(?:arr|array|list|lst|items?|args|argv|data|nums?|matrix|dp|buf|buffer"
    r"|rows?|cols?|vec|vector|values?|vals?|dict|map|result|results|res|xs|ys|db|df|fn|idx|ids"
    r"|keys?|str|string|obj|tmp|ptr|table|cells?|params?|stack|queue|scores?|elements?|points?"
    r"|users?|names?|lines?|tokens?|chars?|bytes?|out|input|output|list[A-Z]?)s?"
)
_CODE = re.compile(r"[={};]|->|\w\(|\[0\]|\w\[[a-z]\]|\bprint\b")
# Remarks of encyclopedias.
_REMARK = re.compile(
    r"(?<=\S)\[(?:citation needed|clarification needed|better source needed|verification needed"
    r"|original research\?|dubious – discuss|by whom\?|who\?|when\?|where\?|which\?|update"
    r"|Bearbeiten(?: \| Quelltext bearbeiten)?|réf\. nécessaire|modifier(?: \| modifier le code)?"
    r"|cita requerida|editar|senza fonte|edit)\]|\s?\[citation needed\]|\s\[edit\]$",
    re.IGNORECASE,
)
_DAGGER = re.compile(r"(?<=[^\W\d_.,;:!?\"”’)])[†‡]+(?![\w†‡])|(?<=[.,;:!?\"”’)])[†‡]+(?![\w†‡])")
# "ill.14 The": a number directly after a full stop, before a new sentence or the end.
_DOTTED = re.compile(
    r"(?<![IVXLC][IVXLC])(?<=[^\W\d_])(?P<end>[.!?…][\"'”’»)\]]{0,3})\d{1,3}(?:[,–-]\d{1,3}){0,9}"
    r"(?=\s*$|\s{1,3}[\"'“‘«(\[]?(?P<next>[^\W\d_]))"
)
_DOTTED_WORD = re.compile(r"(?:^|(?<=[\s\"'“‘«(\[—–]))[^\W\d_]+(?:['’-][^\W\d_]+){0,4}$")


def remove_notes(line: str) -> str:
    """Return a line without footnote marks in brackets, remarks and daggers.

    An index of code such as ``arr[1]`` stays.
    """
    line = _DAGGER.sub("", _REMARK.sub("", _MARKDOWN.sub("", line)))
    is_code = _CODE.search(line) is not None
    return _BRACKETS.sub(lambda m: "" if _is_citation(m, is_code) else m[0], line)


def remove_numbers(line: str) -> str:
    """Return a line without footnote numbers: ``word¹²``, ``ill.14 The``; powers stay."""
    line = _SUPERSCRIPT.sub(lambda m: "" if _is_note(m) else m[0], line)
    return _DOTTED.sub(lambda m: m["end"] if _is_dotted(m) else m[0], line)


def _is_citation(note: re.Match[str], is_code: bool) -> bool:
    """Return whether ``[3]`` is a footnote, not an index."""
    before = note.string[max(0, note.start() - 60) : note.start()].rstrip("*_")
    if not before or note[0] == "[0]":
        return False
    if before[-1] == ")":
        opening = before.rfind("(")
        return opening < 1 or not before[opening - 1].isalnum()
    if before.endswith("],") or (is_code and "," in note[0]):
        return False  # a nested list
    if before[-1] in _NOTE_AFTER or _WIDE.match(before[-1]):
        return True
    return not is_code and _is_in_prose(before)


def _is_in_prose(before: str) -> bool:
    """Return whether a text ends with a word of prose, not with the name of a list."""
    found = _LAST_WORD.search(before)
    if not found:
        return False
    prior = before[found.start() - 1] if found.start() else " "
    if not (prior.isspace() or prior in _OPENERS or prior in "—–*_"):
        return False
    word = found[0]
    return _YEAR.fullmatch(word) is not None or not _CODE_NAME.fullmatch(word)


def _is_note(number: re.Match[str]) -> bool:
    """Return whether a superscript number is a footnote mark, not a power."""
    start = number.start()
    before = number.string[max(0, start - 60) : start]
    after = number.string[number.end() : number.end() + 24]
    if not before.strip() or before[-1].isspace() or before[-1] in _OPENERS:
        return _begins_word(number[0], before, after)
    last = before[-1]
    if number[0][0] in "⁺⁻" or number[0][-1] in "⁺⁻":
        return False
    if last in ")]}":
        return not _is_formula(before)
    if not last.isalpha():
        return last in _NOTE_AFTER
    found = _LETTERS.search(before)
    return found is None or not _is_power(found[0], before[: found.start()], number[0], after)


def _begins_word(number: str, before: str, after: str) -> bool:
    """Return whether a number at the start of a word is a footnote mark, not an isotope's mass."""
    if before[-1:] in ("'", '"') and before[-2:-1].strip():
        return True  # a closing quote
    if _ISOTOPE.match(after) or _ISOTOPE_WORD.match(number + after):
        return False
    return after[:1].isalpha() or (not before.strip() and _LATER_LINE.match(after) is not None)


def _is_power(word: str, before: str, number: str, after: str) -> bool:
    """Return whether a number after a word is its power."""
    if len(word) == 1 or _PRODUCT.fullmatch(word):
        return True
    single = len(number) == 1 and number not in "⁰¹"
    if single and _UNIT_AFTER_NUMBER.fullmatch(word):
        return _NUMBER_BEFORE.search(before) is not None
    if single and _UNIT.fullmatch(word):
        return True
    operators = _OPERATOR_BEFORE.search(before) or _OPERATOR_AFTER.match(after)
    return len(word) <= 3 and operators is not None


def _is_formula(before: str) -> bool:
    """Return whether a text ends with brackets around a formula, not around prose."""
    opening = before.rfind({")": "(", "]": "[", "}": "{"}[before[-1]])
    if opening < 0:
        return False
    content = before[opening + 1 : -1]
    if _YEAR.fullmatch(content) and before[:opening].endswith(" "):
        return False
    words = [word for word in _PROSE_WORD.findall(content) if word not in _FUNCTIONS]
    operators = any(sign in content for sign in "+-−*/×·=^")
    return bool(content) and not any(len(word) > 2 or not operators for word in words)


def _is_dotted(number: re.Match[str]) -> bool:
    """Return whether a number after a full stop is a footnote mark, not a part of a name."""
    if number["next"] and not number["next"].isupper():
        return False
    before = number.string[max(0, number.start() - 40) : number.start()]
    found = _DOTTED_WORD.search(before)
    if not found or len(found[0]) < 2 or not before[: found.start()].strip():
        return False
    return not (NUMBERED.fullmatch(found[0]) or MONTH.fullmatch(found[0]))
