"""Markup to plain text: what a person would read aloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voxcpm_openai.text.characters import GAP, close_gaps, compose, hide, plain, show
from voxcpm_openai.text.inline import hide_code, inline, money, shorten_urls
from voxcpm_openai.text.script import WIDE, speakable
from voxcpm_openai.text.tags import decode_entities, remove_tags

_FENCE = re.compile(r"[\s>]*(`{3,}|~{3,})([^`]*)$")
_DEFINITION = re.compile(
    r"\s*\[([^\]^][^\]]{0,98})\]:\s*(?:\S*/\S*|#\S*|<[^<>]*>|\S*\w\.\w\S*)(?:\s+[\"'(].*)?$"
)
_HEADING = re.compile(r"\s*#{1,6}(?:\s+|$)")
_NOTE = re.compile(r"\[!(\w{1,20})\]$")
# The mark of an item or a quoted line: a bullet, ">", or an emoji used as a bullet.
_BULLET = re.compile(rf"\s*(?:([-*+•])(?:\s+|$)|([{GAP}])[\s{GAP}]*)")
_QUOTE = re.compile(r"\s*(>)[>\s]*")
_NUMBER = re.compile(r"\s*\d{1,9}[.)]\s")
_TASK = re.compile(r"\[[ xX]\]\s+")
_CELL_END = re.compile(r"[.!?…:;,。！？]$")
_ENDED = re.compile(r"[.!?…:。！？：][\"'”’)\]]*$")
_HYPHENED = re.compile(r"[^\W\d_]-$")
_WIDE = re.compile(f"[{WIDE}]")
_EMPTY_LINES = re.compile(r"\n{3,}")

_WRAPPED = range(55, 101)
"""The lengths of lines that may be wrapped at the width of a page."""


class _Line(NamedTuple):
    """A line without its block marks.

    ``raw``: its original length; ``begins``: it does not continue the line before; ``ends``: the
    next line does not continue it.
    """

    text: str
    raw: int
    begins: bool = False
    ends: bool = False


_BLANK = _Line("", 0, begins=True, ends=True)


def clean(text: str) -> str:
    r"""Return a text as a person would read it aloud, in plain characters.

    Markdown and HTML markup, pictures and bullets are removed; numbers of lists stay.  URLs are
    shortened to their host.  Code blocks are removed, unless there is nothing else.  ``"\n\n"``
    separates paragraphs and ``"\n"`` lines; lines that are wrapped at the width of a page are
    joined.
    """
    prose, code = _split_code_blocks(shorten_urls(plain(text)).split("\n"))
    cleaned = _clean_lines(prose)
    return cleaned if cleaned or not code else _clean_lines([hide(line) for line in code])


def _split_code_blocks(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the lines outside code blocks, and those inside.

    A fence that is not closed is ignored: the text may be a part of a longer one.
    """
    prose: list[str] = []
    code: list[str] = []
    block: list[str] = []
    opening = ""
    for line in lines:
        fence = _FENCE.match(line)
        if not opening and fence:
            opening = fence[1]
        elif not opening:
            prose.append(line)
        elif fence and fence[1].startswith(opening) and not fence[2].strip():
            prose.append("")
            code += block
            block, opening = [], ""
        else:
            block.append(line)
    return prose + [line for line in block if not _FENCE.match(line)], code


def _clean_lines(lines: Iterable[str]) -> str:
    """Return the cleaned text of lines that have no code blocks."""
    # In Markdown a backslash at the end is a line break.
    text = "\n".join(hide_code(line.removesuffix("\\")) for line in lines)
    if text.count("$$") % 2 == 0:
        text = text.replace("$$", "")  # display formulas
    text = decode_entities(remove_tags(text))
    written = text.split("\n")
    labels = {found[1].lower() for line in written if (found := _DEFINITION.match(line))}
    cleaned = []
    for line in _join_wrapped(_remove_blocks(written)):
        plain_line = " ".join(close_gaps(money(show(inline(line, labels)))).split())
        cleaned.append(plain_line if speakable(plain_line) else "")
    return compose(_EMPTY_LINES.sub("\n\n", "\n".join(cleaned)).strip())


def _remove_blocks(lines: Sequence[str]) -> list[_Line]:
    """Return the lines without the marks of headings, lists, quotes, tables and rules."""
    rows = _table_rows(lines)
    marks = [found[1] if (found := _QUOTE.match(x) or _BULLET.match(x)) else None for x in lines]
    cleaned = []
    for number, line in enumerate(lines):
        if number in rows:
            cells = _cells(line)
            if cells:
                cleaned.append(_Line(cells, len(line), begins=True, ends=True))
        elif _is_rule(line) or _DEFINITION.match(line):
            cleaned.append(_BLANK)
        else:
            neighbours = {*marks[max(number - 1, 0) : number], *marks[number + 1 : number + 2]}
            cleaned.append(_remove_mark(line, marks[number] in neighbours))
    return cleaned


def _remove_mark(line: str, listed: bool) -> _Line:
    """Return a line without heading, quote or bullet; ``listed``: a line next to it has the same.

    A single ``- 5`` is a negative number, not an item.
    """
    raw, begins = len(line), False
    for pattern in (_QUOTE, _BULLET):
        mark = pattern.match(line)
        number = mark is not None and line[mark.end() : mark.end() + 1].isdigit()
        if mark and (listed or not number or mark[1] in ("*", "•", None)):
            line = line[mark.end() :]
            begins = begins or pattern is _BULLET
    if note := _NOTE.match(line):
        return _Line(note[1].capitalize(), raw, begins=True, ends=True)
    if heading := _HEADING.match(line):
        return _Line(_heading(line[heading.end() :]), raw, begins=True, ends=True)
    if begins or _NUMBER.match(line):
        return _Line(_TASK.sub("", line, count=1), raw, begins=True)
    return _Line(line.strip(), raw) if line.strip() else _BLANK


def _heading(text: str) -> str:
    """Return a heading without a closing ``##``; ``C#`` stays."""
    text = text.rstrip()
    unmarked = text.rstrip("#")
    return unmarked.rstrip() if unmarked[-1:].isspace() else text


def _is_rule(line: str) -> bool:
    """Return whether a line is a rule, the underline of a heading or the border of a table."""
    marks = line.replace(" ", "")
    if len(marks) < 3:
        return False
    kinds = set(marks)
    return (len(kinds) == 1 and kinds <= set("-*_=")) or (
        kinds <= set("+-=|") and ("---" in marks or "===" in marks)
    )


def _is_divider(line: str) -> bool:
    """Return whether a line separates the head of a table from its body."""
    return "|" in line and "-" in line and set(line) <= set("|:-+= ")


def _table_rows(lines: Sequence[str]) -> set[int]:
    """Return the numbers of the lines that are rows of tables."""
    rows: set[int] = set()
    inside = False
    for number, line in enumerate(lines):
        if number and _is_divider(line) and "|" in lines[number - 1]:
            rows.update((number - 1, number))
            inside = True
            continue
        inside = inside and "|" in line
        framed = len(line.strip()) > 2 and line.strip()[0] == "|" == line.strip()[-1]
        if inside or framed:
            rows.add(number)
    return rows


def _cells(row: str) -> str:
    """Return the cells of a row, separated by commas; an empty string for a divider."""
    if _is_divider(row):
        return ""
    cells = [cell for part in row.split("|") if (cell := part.strip())]
    ended = [cell if _CELL_END.search(cell) else cell + "," for cell in cells[:-1]]
    return " ".join(ended + cells[-1:])


def _join_wrapped(lines: Iterable[_Line]) -> list[str]:
    """Return the lines; those that are one line wrapped at the width of a page are joined."""
    joined: list[list[str]] = []
    before = _BLANK
    for line in lines:
        wrapped = before.raw in _WRAPPED and not _ENDED.search(before.text)
        if line.begins or before.ends or not wrapped:
            joined.append([line.text])
        else:
            hyphenated = _HYPHENED.search(before.text) and line.text[0].islower()
            wide = _WIDE.match(before.text[-1:]) and _WIDE.match(line.text)
            joined[-1] += ["" if hyphenated or wide else " ", line.text]
        before = line
    return ["".join(parts) for parts in joined]
