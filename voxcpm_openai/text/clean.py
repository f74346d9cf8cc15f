"""Making of a written text what a person would read aloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voxcpm_openai.text.characters import GAP, close_gaps, compose, hide, plain, show
from voxcpm_openai.text.inline import inline, money, spoken_addresses, with_code_hidden
from voxcpm_openai.text.script import WIDE, speakable
from voxcpm_openai.text.tags import without_entities, without_tags

_FENCE = re.compile(r"[\s>]*(`{3,}|~{3,})([^`]*)$")
_DEFINITION = re.compile(
    r"\s*\[([^\]^][^\]]{0,98})\]:\s*(?:\S*/\S*|#\S*|<[^<>]*>|\S*\w\.\w\S*)(?:\s+[\"'(].*)?$"
)
_HEADING = re.compile(r"\s*#{1,6}(?:\s+|$)")
_NOTE = re.compile(r"\[!(\w{1,20})\]$")
# What stands before an item or a quoted line: a bullet, ">", or an emoji used as a bullet.
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
"""How long a line is whose end only the width of the page asked for."""


class _Line(NamedTuple):
    """A line without its block marks.

    ``raw``: its length as written; ``begins``: it does not go on with the line before;
    ``ends``: no line goes on with it.
    """

    text: str
    raw: int
    begins: bool = False
    ends: bool = False


_BLANK = _Line("", 0, begins=True, ends=True)


def clean(text: str) -> str:
    r"""Return what a person would read aloud, in plain characters.

    Markdown and HTML lose their marks, web addresses all but the host, pictures everything.
    Blocks of code are left out, unless there is nothing else.  Bullets go and numbers of lists
    stay.  ``"\n\n"`` is between paragraphs and ``"\n"`` between lines; lines that were only wrapped
    at the edge of a page are joined.
    """
    prose, code = _without_fences(spoken_addresses(plain(text)).split("\n"))
    said = _read(prose)
    return said if said or not code else _read([hide(line) for line in code])


def _without_fences(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the lines outside blocks of code, and those inside.

    A fence that is never closed fences nothing in: the text may be a piece of a longer one.
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


def _read(lines: Iterable[str]) -> str:
    """Return lines without code blocks as they are read."""
    # A backslash at its end is how Markdown writes a line break.
    text = "\n".join(with_code_hidden(line.removesuffix("\\")) for line in lines)
    if text.count("$$") % 2 == 0:
        text = text.replace("$$", "")  # formulas on lines of their own
    text = without_entities(without_tags(text))
    written = text.split("\n")
    labels = {found[1].lower() for line in written if (found := _DEFINITION.match(line))}
    said = []
    for line in _unwrapped(_without_blocks(written)):
        spoken = " ".join(close_gaps(money(show(inline(line, labels)))).split())
        said.append(spoken if speakable(spoken) else "")
    return compose(_EMPTY_LINES.sub("\n\n", "\n".join(said)).strip())


def _without_blocks(lines: Sequence[str]) -> list[_Line]:
    """Return the lines without the marks of headings, lists, quotes, tables and rules."""
    rows = _table_rows(lines)
    marks = [found[1] if (found := _QUOTE.match(x) or _BULLET.match(x)) else None for x in lines]
    said = []
    for number, line in enumerate(lines):
        if number in rows:
            cells = _cells(line)
            if cells:
                said.append(_Line(cells, len(line), begins=True, ends=True))
        elif _is_rule(line) or _DEFINITION.match(line):
            said.append(_BLANK)
        else:
            beside = {*marks[max(number - 1, 0) : number], *marks[number + 1 : number + 2]}
            said.append(_without_mark(line, marks[number] in beside))
    return said


def _without_mark(line: str, listed: bool) -> _Line:
    """Return a line without heading, quote or bullet; ``listed``: one beside it has the same.

    A lone ``- 5`` is a number below zero, not an item.
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
    """Return a heading without the ``##`` that may close it; ``C#`` stays."""
    text = text.rstrip()
    bare = text.rstrip("#")
    return bare.rstrip() if bare[-1:].isspace() else text


def _is_rule(line: str) -> bool:
    """Return whether a line is drawn: a rule, the line under a heading or a frame's edge."""
    marks = line.replace(" ", "")
    if len(marks) < 3:
        return False
    kinds = set(marks)
    return (len(kinds) == 1 and kinds <= set("-*_=")) or (
        kinds <= set("+-=|") and ("---" in marks or "===" in marks)
    )


def _is_divider(line: str) -> bool:
    """Return whether a line divides a table's head from its body."""
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
    """Return the cells of a row with commas between; nothing for a divider."""
    if _is_divider(row):
        return ""
    cells = [cell for part in row.split("|") if (cell := part.strip())]
    ended = [cell if _CELL_END.search(cell) else cell + "," for cell in cells[:-1]]
    return " ".join(ended + cells[-1:])


def _unwrapped(lines: Iterable[_Line]) -> list[str]:
    """Return the lines, those joined that are one line broken at the edge of a page."""
    joined: list[list[str]] = []
    before = _BLANK
    for line in lines:
        wrapped = before.raw in _WRAPPED and not _ENDED.search(before.text)
        if line.begins or before.ends or not wrapped:
            joined.append([line.text])
        else:
            glued = _HYPHENED.search(before.text) and line.text[0].islower()
            wide = _WIDE.match(before.text[-1:]) and _WIDE.match(line.text)
            joined[-1] += ["" if glued or wide else " ", line.text]
        before = line
    return ["".join(parts) for parts in joined]
