"""Markup to plain text: what a person would read aloud."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from voxcpm_openai.text.characters import GAP, close_gaps, compose, hide, plain, show
from voxcpm_openai.text.chat import remove_mentions, show_labels
from voxcpm_openai.text.escapes import break_lines
from voxcpm_openai.text.inline import hide_code, inline, shorten_urls
from voxcpm_openai.text.marks import MARK, RATE, SILENT, Marks
from voxcpm_openai.text.punctuation import apostrophes, punctuate
from voxcpm_openai.text.script import speakable
from voxcpm_openai.text.ssml import read_ssml
from voxcpm_openai.text.tags import decode_entities, remove_silent, remove_tags
from voxcpm_openai.text.wrapping import BLANK, Line, join_wrapped

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
_CELL_END = re.compile(rf"[.!?…:;,。！？][{MARK}]*$")
_EMPTY_LINES = re.compile(r"\n{3,}")
_MARK = re.compile(f"[{MARK}]")
# Pauses and rates stand next to what they follow: no space before closing punctuation, no line
# of its own for a rate.
_BEFORE_CLOSING = re.compile(rf"(?<![{MARK} ]) ?([{SILENT}](?: ?[{SILENT}])*+) ?(?=[.,;:!?…)\]”’])")
_RATE_LINE = re.compile(rf"\n([{RATE}][{RATE} ]*+)(?=\n|$)")


def clean(text: str, marks: Marks | None = None, *, alone: bool = True) -> str:
    r"""Return a text as a person would read it aloud, in plain characters and its own language.

    Markdown and HTML markup, pictures, bullets and footnote marks are removed; numbers of lists
    stay.  URLs are shortened to their host.  Code blocks are removed, unless there is nothing
    else.  ``"\n\n"`` separates paragraphs and ``"\n"`` lines; lines that are wrapped are joined.
    The pauses, rates and pronunciations of SSML are added to ``marks``, and stand in the text as
    its characters; without ``marks`` they are ignored.  ``alone``: there is no other text; if not,
    code blocks are removed in any case.
    """
    written = break_lines(plain(text)).split("\n")
    lines = shorten_urls(show_labels("\n".join(map(apostrophes, written)))).split("\n")
    prose, code = _split_code_blocks(lines)
    cleaned = _clean_lines(prose, marks)
    return (
        cleaned
        if cleaned or not code or not alone
        else _clean_lines([hide(line) for line in code], marks)
    )


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


def _clean_lines(lines: Iterable[str], marks: Marks | None) -> str:
    """Return the cleaned text of lines that have no code blocks."""
    # In Markdown a backslash at the end is a line break.
    text = "\n".join(hide_code(line.removesuffix("\\")) for line in lines)
    if text.count("$$") % 2 == 0:
        text = text.replace("$$", "")  # display formulas
    text = read_ssml(remove_silent(remove_mentions(text)), marks, _content)
    text = decode_entities(remove_tags(text))
    written = text.split("\n")
    labels = {found[1].lower() for line in written if (found := _DEFINITION.match(line))}
    cleaned = [_clean_line(line, labels) for line in join_wrapped(_remove_blocks(written))]
    text = _RATE_LINE.sub(r"\1", "\n".join(cleaned))
    return compose(_EMPTY_LINES.sub("\n\n", text).strip())


def _clean_line(line: str, labels: Container[str]) -> str:
    """Return a line without inline markup; only its marks if there is nothing to speak."""
    line = " ".join(punctuate(close_gaps(show(inline(line, labels)))).split())
    if not speakable(line):
        return "".join(_MARK.findall(line))
    return _BEFORE_CLOSING.sub(r"\1", line)


def _content(text: str) -> str:
    """Return the content of an element of SSML as plain text on one line."""
    text = " ".join(decode_entities(remove_tags(text)).split())
    return compose(_clean_line(text, ()))


def _remove_blocks(lines: Sequence[str]) -> list[Line]:
    """Return the lines without the marks of headings, lists, quotes, tables and rules."""
    rows = _table_rows(lines)
    marks = [found[1] if (found := _QUOTE.match(x) or _BULLET.match(x)) else None for x in lines]
    cleaned = []
    for number, line in enumerate(lines):
        if number in rows:
            cells = _cells(line)
            if cells:
                cleaned.append(Line(cells, len(line), begins=True, ends=True))
        elif _is_rule(line) or _DEFINITION.match(line):
            cleaned.append(BLANK)
        else:
            neighbours = {*marks[max(number - 1, 0) : number], *marks[number + 1 : number + 2]}
            cleaned.append(_remove_mark(line, marks[number] in neighbours))
    return cleaned


def _remove_mark(line: str, listed: bool) -> Line:
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
        return Line(note[1].capitalize(), raw, begins=True, ends=True)
    if heading := _HEADING.match(line):
        return Line(_heading(line[heading.end() :]), raw, begins=True, ends=True)
    if begins or _NUMBER.match(line):
        return Line(_TASK.sub("", line, count=1), raw, begins=True)
    return Line(line.strip(), raw) if line.strip() else BLANK


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
