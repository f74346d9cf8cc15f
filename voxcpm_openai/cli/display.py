"""How commands print: tables and colours on a terminal, plain lines in a pipe, JSON if asked.

``rich`` is imported only where standard output or standard error is a terminal.  Names and texts
come from clients, files and other servers: no control character of theirs is ever printed.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NARROW = 60
"""Columns of a terminal below which a row of a table is shown as a paragraph."""
GAP = "  "
"""Between two columns."""
_SEPARATORS = (0x2028, 0x2029)
_DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *_SEPARATORS, *_DIRECTIONS, *_SURROGATES)
_IN_LINES = {code: "\N{REPLACEMENT CHARACTER}" for code in _CONTROLS if code != ord("\n")}
_IN_CELLS = {**_IN_LINES, **dict.fromkeys(map(ord, "\t\n\r"), " ")}
_IN_JSON = {code: f"\\u{code:04x}" for code in _CONTROLS if code >= 0x7F}  # JSON escapes the others

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""The option of commands that can print JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    ``style``: rich's, on a terminal; ``styles``: those of some values.  ``wrap``: its text may be
    wrapped.
    """

    name: str
    style: str = ""
    right: bool = False
    wrap: bool = False
    styles: Mapping[str, str] = field(default_factory=dict)


def plain(text: object) -> str:
    """Return a text without control characters, line feeds excepted."""
    return str(text).translate(_IN_LINES)


def message(text: object, prefix: str = "Error: ", stream: TextIO | None = None) -> str:
    """Return a text without control characters; wrapped on a terminal.

    ``prefix``: what is printed before it; ``stream``: where to, by default standard error.
    """
    shown, stream = plain(text), stream or sys.stderr
    if not is_terminal(stream):
        return shown
    options = textwrap.TextWrapper(_width(stream), break_long_words=False, break_on_hyphens=False)
    first, *others = (prefix + shown).split("\n")
    return "\n".join(map(options.fill, (first, *others))).removeprefix(prefix)


def _width(stream: TextIO) -> int:
    """Return the columns of a terminal, a small number if it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or NARROW
    except (OSError, ValueError):
        return NARROW


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream is a terminal."""
    return stream is not None and stream.isatty()


def colours() -> bool:
    """Return whether colours are wanted: not where ``NO_COLOR`` is set (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def console(stream: TextIO) -> Console:
    """Return rich's console of a standard stream that is a terminal."""
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=True,
        color_system="auto" if colours() else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_json(document: object) -> None:
    """Print a JSON document.  What is no JSON value, such as a path, becomes a text."""
    text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
    click.echo(text.translate(_IN_JSON))


def print_title(text: str) -> None:
    """Print the title of what follows, on a terminal only: a pipe has lines of one kind."""
    if is_terminal(sys.stdout):
        click.secho(f"\n{plain(text)}", bold=True)


def print_text(text: str) -> None:
    """Print a text on standard output, as ``message`` has it."""
    click.echo(message(text, "", sys.stdout))


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, least: int = NARROW
) -> None:
    """Print rows: a table with a header on a terminal, else aligned lines without one.

    On a terminal of less than ``least`` columns each row is a paragraph, see ``renderable``.
    """
    cells = [[str(cell).translate(_IN_CELLS) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        for line in aligned(columns, cells):
            click.echo(line)
        return
    screen = console(sys.stdout)
    screen.print(renderable(screen, columns, cells, least))


@contextmanager
def working(text: str) -> Iterator[Callable[[str], object]]:
    """Show on standard error, if that is a terminal, what is being done; yield what tells it."""
    if not is_terminal(sys.stderr):
        yield lambda _text: None
        return
    from rich.text import Text

    with console(sys.stderr).status(Text(plain(text))) as status:
        yield lambda text: status.update(Text(plain(text)))


def renderable(
    screen: Console,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    least: int = NARROW,
) -> RenderableType:
    """Return rows as a table, or on a narrow screen as paragraphs; two columns fit any screen."""
    from rich.console import Group

    if screen.width < least and len(columns) > 2:
        return Group(*(line for row in rows for line in _record(columns, row)))
    return _table(columns, rows)


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with columns of equal width; empty cells at the end are left out."""
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(len(columns))]
    return [
        GAP.join(
            f"{cell:>{width}}" if column.right else f"{cell:{width}}"
            for cell, column, width in zip(row, columns, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.wrap,
        )
    for row in rows:
        cells = zip(columns, row, strict=True)
        table.add_row(*(Text(cell, style=_style(column, cell)) for column, cell in cells))
    return table


def _record(columns: Sequence[Column], row: Sequence[str]) -> Iterator[RenderableType]:
    """Yield a row as a paragraph: its first cell, and below it the others with their names."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    title = Text(row[0], style=columns[0].styles.get(row[0], "bold"), overflow="fold")
    if columns[0].right:  # a number says nothing by itself
        title.append(f" {columns[0].name}")
    yield title
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            grid.add_row(Text(column.name), Text(cell, style=_style(column, cell)))
    yield Padding(grid, (0, 0, 0, 2))


def _style(column: Column, cell: str) -> str:
    return column.styles.get(cell, column.style)
