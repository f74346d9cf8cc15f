"""Markup within a line: links, code spans, emphasis, formulas, money."""

from __future__ import annotations

import re
from collections.abc import Container

from voxcpm_openai.text.characters import GAP, hide
from voxcpm_openai.text.script import WIDE

# A web address: scheme or "www.", then ASCII and Latin letters, parentheses only in pairs.
_PATH = r"A-Za-z0-9À-ɏ!#$%&'+,./:;=?@_~-"
_URL = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?:https?|ftp|wss?)://|www\.(?=\w))((?:[{_PATH}]|\([{_PATH}]*+\))++)",
    re.IGNORECASE,
)
# <https://...>, <me@example.com> and mailto: in front of an address.
_AUTOLINK = re.compile(r"<((?:https?://|ftp://|mailto:)[^\s<>]+|[^\s<>@]+@[^\s<>@]+)>")
_MAILTO = re.compile(r"\bmailto:(?=\w)", re.IGNORECASE)

_ESCAPE = re.compile(r"\\([`*_#+.!|~<>$&-])")
_TICKS = re.compile(r"(`+)")

# [text](target "title"), brackets and parentheses within to a depth of one.
_LINK_TEXT = r"\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]"
_TARGET = (
    r"\(\s?(<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s?\)"
)
_IMAGE = re.compile("!" + _LINK_TEXT + _TARGET)
_LINK = re.compile(_LINK_TEXT + _TARGET)
_REFERENCE = re.compile(r"!?\[([^\[\]]+)\](?:\[([^\[\]]*)\])?")
# Footnote marks: [^1], [1] right after punctuation, and what OpenAI's file search leaves.
_FOOTNOTE = re.compile(
    r"^\[\^[^\]\s]{1,40}\]:\s*|\[\^[^\]\s]{1,40}\]"
    r"|(?<=[.,;:!?\"”’)])(?:\[\d{1,3}\])+|【\d{1,4}(?::\d{1,4})?†[^】]{0,99}】"
)

_FORMULA = re.compile(r"\$(?=\S)([^$]{1,300}?)(?<=\S)\$(?!\d)")
_FORMULA_MARKS = re.compile(r"\\[()\[\]]")
_MARKS = re.compile(r"\*+|_+|~~+")
_WIDE = re.compile(f"[{WIDE}]")

_TIMES = re.compile(r"(?<=\d)(\s?)\*(\s?)(?=\d)")
_BULLET = re.compile(r" [•·∙] ")
# "5 €": an amount before its sign, as half of Europe writes it; engines read "€5".
_AMOUNT = re.compile(r"(?<![\w.,$€£¥₹-])(\d+(?:[.,]\d+)*+) ?([$€£¥₹])(?![\w$€£¥₹]| ?\d)")
_LONE_MONEY = re.compile(r"(?<![\w$€£¥₹₽₩₿])([$€£¥₹₽₩₿])\1*+(?! ?[-+.]?\d|\w|[$€£¥₹₽₩₿])")
_MONEY = {
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "₹": "rupee",
    "₽": "rouble",
    "₩": "won",
    "₿": "bitcoin",
}


def spoken_addresses(text: str) -> str:
    """Return the text with each web address cut down to its host."""
    return _URL.sub(_host, _MAILTO.sub("", _AUTOLINK.sub(r"\1", text)))


def with_code_hidden(line: str) -> str:
    """Return a line with the content of its code spans, and what is escaped, hidden."""
    line = _ESCAPE.sub(lambda m: hide(m[1]), _FORMULA_MARKS.sub("", line))
    pieces = _TICKS.split(line)
    following: dict[str, int] = {}
    partner = [0] * len(pieces)
    for number in range(len(pieces) - 2, 0, -2):
        partner[number] = following.get(pieces[number], 0)
        following[pieces[number]] = number
    said, number = [pieces[0]], 1
    while number < len(pieces):
        if closing := partner[number]:
            said.append(hide("".join(pieces[number + 1 : closing]).strip()))
            number = closing
        elif len(pieces[number]) == 1:
            said.append(pieces[number])
        said.append(pieces[number + 1])
        number += 2
    return "".join(said)


def inline(line: str, labels: Container[str]) -> str:
    """Return a line without the markup in it.  ``labels``: the references that are defined."""

    def reference(link: re.Match[str]) -> str:
        return link[1] if (link[2] or link[1]).lower() in labels else link[0]

    line = _FOOTNOTE.sub("", line)
    line = _LINK.sub(_link, _IMAGE.sub(_link, line))
    line = _REFERENCE.sub(reference, line)
    return _without_marks(_FORMULA.sub(_formula, line))


def money(line: str) -> str:
    """Return a line with currency signs where engines read them, and ``*`` for times as ``×``."""
    line = _AMOUNT.sub(r"\2\1", _BULLET.sub(", ", _TIMES.sub(r"\1×\2", line)))
    return _LONE_MONEY.sub(lambda m: _MONEY[m[1]], line)


def _host(url: re.Match[str]) -> str:
    """Return the host of a web address, and the punctuation that only stood beside it."""
    address = url[1].rstrip(".,;:!?'_~")
    authority = re.split(r"[/?#]", address, maxsplit=1)[0].rpartition("@")[2]
    host = authority.partition(":")[0].removeprefix("www.")
    return host + url[1][len(address) :]


def _link(link: re.Match[str]) -> str:
    """Return the text of a link, or the link itself where it is code such as ``a[i](x)``."""
    before = link.string[link.start() - 1] if link.start() else " "
    is_code = before.isalnum() and before.isascii() and not set("/.:#").intersection(link[2])
    return link[0] if is_code else link[1]


def _formula(formula: re.Match[str]) -> str:
    """Return a formula without its dollar signs, or the text itself where they mean money."""
    content = formula[1]
    signs = set("\\^") if content[0].isdigit() else set("\\^_={}")
    return content if signs.intersection(content) or len(content) == 1 else formula[0]


def _without_marks(line: str) -> str:
    """Return a line without emphasis marks.

    Marks go in pairs, one before a word and one after; stars also alone, since nobody reads
    them.  Those within words and between spaces stay: ``snake_case``, ``5*3``, ``2 * 3``.
    """
    runs = list(_MARKS.finditer(line))
    said: dict[int, str] = {}
    open_runs: dict[str, list[int]] = {"*": [], "_": [], "~": []}
    for number, run in enumerate(runs):
        mark, size = run[0][0], len(run[0])
        before = line[run.start() - 1] if run.start() else " "
        after = line[run.end()] if run.end() < len(line) else " "
        waiting = open_runs[mark]
        closes = not before.isspace() and (not _in_word(after) or (mark == "*" and size > 1))
        if closes and waiting:
            said[number] = ""
            while size > 0 and waiting:
                opening = waiting.pop()
                said[opening] = ""
                size -= len(runs[opening][0])
        elif not after.isspace() and not _in_word(before):
            waiting.append(number)
        if number in said:
            continue
        if size > 2:
            said[number] = GAP
        elif mark == "*" and before.isspace() != after.isspace():
            digit = (before + after).strip().isdigit()
            said[number] = "*" if digit else ""
    pieces, done = [], 0
    for number, run in enumerate(runs):
        pieces += [line[done : run.start()], said.get(number, run[0])]
        done = run.end()
    return "".join(pieces) + line[done:]


def _in_word(char: str) -> bool:
    """Return whether a mark beside this character may be part of a word."""
    return char.isalnum() and not _WIDE.match(char)
