"""Markup within a line: links, code spans, emphasis, formulas."""

from __future__ import annotations

import re
from collections.abc import Container

from voxcpm_openai.text.characters import GAP, hide
from voxcpm_openai.text.footnotes import remove_notes, remove_numbers
from voxcpm_openai.text.script import WIDE

# A URL: a scheme or "www.", then ASCII and Latin letters, parentheses only in pairs.
_PATH = r"A-Za-z0-9À-ɏ!#$%&'+,./:;=?@_~-"
_URL = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?:https?|ftp|wss?)://|www\.(?=\w))((?:[{_PATH}]|\([{_PATH}]*+\))++)",
    re.IGNORECASE,
)
# <https://...>, <me@example.com>, and mailto: before an address.
_AUTOLINK = re.compile(r"<((?:https?://|ftp://|mailto:)[^\s<>]+|[^\s<>@|]+@[^\s<>@|]+)>")
_MAILTO = re.compile(r"\bmailto:(?=\w)", re.IGNORECASE)

_ESCAPE = re.compile(r"\\([`*_#+.!|~<>$&-])|(?<=\d)\\(%)")
_TICKS = re.compile(r"(`+)")

# [text](target "title"), with nested brackets and parentheses to a depth of one.
_LINK_TEXT = r"\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]"
_TARGET = (
    r"\(\s?(<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s?\)"
)
_IMAGE = re.compile("!" + _LINK_TEXT + _TARGET)
_LINK = re.compile(_LINK_TEXT + _TARGET)
_REFERENCE = re.compile(r"!?\[([^\[\]]+)\](?:\[([^\[\]]*)\])?")
_FORMULA = re.compile(r"\$(?=\S)([^$]{1,300}?)(?<=\S)\$(?!\d)")
# A formula without other signs of one: numbers, single letters and functions of them.
_TERM = r"(?:\d+(?:\.\d+)?%|\d*(?:[A-Za-zΑ-ω]|sin|cos|tan|log|ln|exp)'?(?:\([\w .,+-]{1,20}\))?)"
_MATH = re.compile(rf"{_TERM}(?: ?[-+*/=<>≤≥·×] ?(?:{_TERM}|\d+(?:\.\d+)?))*")
_FORMULA_MARKS = re.compile(r"\\[()\[\]]")
_MARKS = re.compile(r"\*+|_+|~~+")
_WIDE = re.compile(f"[{WIDE}]")

_HIGHLIGHT = re.compile(r"(?<![=\w!<>])==(?=[^\s=])([^=\n]{1,500}+)(?<=\S)==(?![=\w])")


def shorten_urls(text: str) -> str:
    """Return the text with every URL shortened to its host."""
    return _URL.sub(_host, _MAILTO.sub("", _AUTOLINK.sub(r"\1", text)))


def hide_code(line: str) -> str:
    """Return a line in which code spans and escaped characters are hidden; see ``hide``."""
    line = _ESCAPE.sub(lambda m: hide(m[1] or m[2]), _FORMULA_MARKS.sub("", line))
    parts = _TICKS.split(line)
    following: dict[str, int] = {}
    partner = [0] * len(parts)
    for number in range(len(parts) - 2, 0, -2):
        partner[number] = following.get(parts[number], 0)
        following[parts[number]] = number
    kept, number = [parts[0]], 1
    while number < len(parts):
        if closing := partner[number]:
            kept.append(hide("".join(parts[number + 1 : closing]).strip()))
            number = closing
        elif len(parts[number]) == 1:
            kept.append(parts[number])
        kept.append(parts[number + 1])
        number += 2
    return "".join(kept)


def inline(line: str, labels: Container[str]) -> str:
    """Return a line without inline markup.  ``labels``: the link references of the text."""

    def reference(link: re.Match[str]) -> str:
        return link[1] if (link[2] or link[1]).lower() in labels else link[0]

    line = _HIGHLIGHT.sub(r"\1", remove_notes(line))
    line = _LINK.sub(_link, _IMAGE.sub(_link, line))
    line = _REFERENCE.sub(reference, line)
    return remove_numbers(_remove_emphasis(_FORMULA.sub(_formula, line)))


def _host(url: re.Match[str]) -> str:
    """Return the host of a URL, and the punctuation that follows the URL."""
    address = url[1].rstrip(".,;:!?'_~")
    authority = re.split(r"[/?#]", address, maxsplit=1)[0].rpartition("@")[2]
    host = authority.partition(":")[0].removeprefix("www.")
    return host + url[1][len(address) :]


def _link(link: re.Match[str]) -> str:
    """Return the text of a link, or the match itself if it is code such as ``a[i](x)``."""
    before = link.string[link.start() - 1] if link.start() else " "
    is_code = before.isalnum() and before.isascii() and not set("/.:#").intersection(link[2])
    return link[0] if is_code else link[1]


def _formula(formula: re.Match[str]) -> str:
    """Return a formula without its dollar signs, or the match itself if they mean money."""
    content = formula[1]
    signs = set("\\^") if content[0].isdigit() else set("\\^_={}")
    if signs.intersection(content) or len(content) == 1:
        return content
    before = formula.string[max(0, formula.start() - 1) : formula.start()]
    return content if not before.isalnum() and _MATH.fullmatch(content) else formula[0]


def _remove_emphasis(line: str) -> str:
    """Return a line without emphasis marks.

    Marks are removed in pairs, one before a word and one after; stars also singly, since they
    are not read aloud.  Marks within words and between spaces stay: ``snake_case``, ``5*3``,
    ``2 * 3``.
    """
    runs = list(_MARKS.finditer(line))
    kept: dict[int, str] = {}
    open_runs: dict[str, list[int]] = {"*": [], "_": [], "~": []}
    for number, run in enumerate(runs):
        mark, size = run[0][0], len(run[0])
        before = line[run.start() - 1] if run.start() else " "
        after = line[run.end()] if run.end() < len(line) else " "
        waiting = open_runs[mark]
        closes = not before.isspace() and (not _in_word(after) or (mark == "*" and size > 1))
        if closes and waiting:
            kept[number] = ""
            while size > 0 and waiting:
                opening = waiting.pop()
                kept[opening] = ""
                size -= len(runs[opening][0])
        elif not after.isspace() and not _in_word(before):
            waiting.append(number)
        if number in kept:
            continue
        if size > 2:
            kept[number] = GAP
        elif mark == "*" and before.isspace() != after.isspace():
            digit = (before + after).strip().isdigit()
            kept[number] = "*" if digit else ""
    parts, done = [], 0
    for number, run in enumerate(runs):
        parts += [line[done : run.start()], kept.get(number, run[0])]
        done = run.end()
    return "".join(parts) + line[done:]


def _in_word(char: str) -> bool:
    """Return whether a mark next to this character may be part of a word."""
    return (char.isalpha() or char.isdecimal()) and not _WIDE.match(char)
