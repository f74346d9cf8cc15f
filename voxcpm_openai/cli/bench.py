"""``voxcpm-openai bench``: a load test of a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import click

from voxcpm_openai.cli.display import (
    Column,
    console,
    is_terminal,
    json_option,
    plain,
    print_json,
    renderable,
)
from voxcpm_openai.cli.output import checked, opened
from voxcpm_openai.listing import list_object
from voxcpm_openai.load_test import TEXTS, LoadError, LoadPlan, LoadReport, Percentiles, run

DEFAULT_URL = "http://127.0.0.1:7861"

COLUMNS = (
    ("streams", 7),
    ("requests", 8),
    ("first byte ms, p50/p90/p99", 26),
    ("total s, p50/p90/p99", 20),
    ("gap ms", 6),
    ("underruns", 9),
    ("RTF", 5),
    ("audio s/s", 9),
    ("faults", 6),
)
"""The columns of lines, and their widths."""
TABLE = (
    Column("streams", "bold", right=True),
    Column("first byte ms", right=True, wrap=True),
    Column("p99", "dim", right=True),
    Column("total s", right=True),
    Column("p99", "dim", right=True),
    Column("gap ms", right=True, wrap=True),
    Column("underruns", right=True, styles={"0": "green"}),
    Column("RTF", right=True),
    Column("audio s/s", right=True, wrap=True),
    Column("faults", "red", right=True, wrap=True, styles={"0": "green"}),
)
"""The columns of a table on a terminal."""


def _levels(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse numbers of streams, such as ``1,8,32``."""
    try:
        levels = tuple(int(part) for part in value.split(","))
    except ValueError:
        levels = (0,)
    if min(levels) < 1:
        raise click.BadParameter(f"{value!r} should be whole numbers above zero, as in 1,8,32.")
    return levels


@click.command()
@click.argument("url", default=DEFAULT_URL)
@click.option(
    "--streams",
    callback=_levels,
    default="1,8,32,64",
    show_default=True,
    help="Numbers of requests at a time, one level after the other.",
)
@click.option(
    "--requests",
    type=click.IntRange(min=1),
    help="Requests at each level.  Default: twice the streams, at least 16.",
)
@click.option("--format", "format_", default="pcm", show_default=True)
@click.option("--voice", default="alloy", show_default=True)
@click.option("--model", default="tts-1", show_default=True)
@click.option("--text", help="What to speak.  Default: four sentences in turn.")
@click.option("--api-key", envvar="OPENAI_API_KEY", help="The key that is sent.")
@click.option(
    "-o",
    "--output",
    callback=partial(checked, binary=False),
    help="Write all figures to this file too, as JSON, in seconds.",
)
@json_option
def bench(
    url: str,
    streams: tuple[int, ...],
    requests: int | None,
    format_: str,
    voice: str,
    model: str,
    text: str | None,
    api_key: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Send speech requests to the server at URL, with rising numbers of streams.

    An underrun is a gap in the audio of a client that starts playback at the first byte.
    RTF is the time of a reply divided by its seconds of audio.  Figures without a percentile are
    medians, but the gap is the longest one.
    """
    plans = [
        LoadPlan(
            url=url,
            streams=level,
            requests=requests or max(2 * level, 16),
            texts=TEXTS if text is None else (text,),
            voice=voice,
            model=model,
            format=format_,
            api_key=api_key,
        )
        for level in streams
    ]
    try:
        if is_terminal(sys.stdout) and not as_json:
            reports = _run_on_screen(plans)
        else:
            reports = _run_in_lines(plans, quiet=as_json)
    except LoadError as error:
        hint = f"To see what answers there: voxcpm-openai check --url {url}"
        raise click.ClickException(f"{error}\n{hint}") from error
    document = list_object([asdict(report) for report in reports])
    if as_json:
        print_json(document)
    else:
        click.echo(f"warm-up: first byte {reports[0].warm_up.first_byte * 1e3:.1f} ms")
    if output is not None:
        with opened(output, binary=False) as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")


def _run_in_lines(plans: Sequence[LoadPlan], *, quiet: bool) -> list[LoadReport]:
    """Run the plans; print a line for each, unless ``quiet``."""
    reports: list[LoadReport] = []
    for plan in plans:
        with click.progressbar(
            length=plan.requests,
            label=f"{plan.streams} streams",
            file=sys.stderr,
            hidden=not is_terminal(sys.stderr),
        ) as bar:
            reports.append(run(plan, lambda: bar.update(1)))
        if not quiet:
            if len(reports) == 1:
                click.echo(_line([name for name, _ in COLUMNS]))
            click.echo(_line(_cells(reports[-1])))
    return reports


def _run_on_screen(plans: Sequence[LoadPlan]) -> list[LoadReport]:
    """Run the plans; show a table that grows, and below it the progress of the current plan."""
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    screen = console(sys.stdout)
    bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    reports: list[LoadReport] = []

    def content() -> RenderableType:
        table = renderable(screen, TABLE, map(_row, reports)) if reports else ""
        return Group(table, bars) if bars.tasks else table

    with Live(console=screen, get_renderable=content, vertical_overflow="visible") as live:
        for plan in plans:
            task = bars.add_task(f"{plan.streams} streams", total=plan.requests)
            try:
                reports.append(run(plan, partial(bars.advance, task)))
            finally:
                bars.remove_task(task)
                live.refresh()
    return reports


def _row(report: LoadReport) -> list[str]:
    """Return a row of ``TABLE``."""
    first, total = report.first_byte, report.total
    return [
        str(report.streams),
        f"{first.p50 * 1e3:.1f}" if first else "-",
        f"{first.p99 * 1e3:.1f}" if first else "-",
        f"{total.p50:.2f}" if total else "-",
        f"{total.p99:.2f}" if total else "-",
        *_cells(report)[4:],
    ]


def _cells(report: LoadReport) -> list[str]:
    """Return the cells of a line."""
    faults = ", ".join(f"{count} x {fault}" for fault, count in report.faults.items())
    return [
        str(report.streams),
        str(report.requests),
        _percentiles(report.first_byte, 1e3, ".1f"),
        _percentiles(report.total, 1, ".2f"),
        f"{report.longest_gap * 1e3:.0f}",
        str(report.underruns),
        "-" if report.rtf is None else f"{report.rtf.p50:.3f}",
        f"{report.audio_per_second:.1f}",
        plain(faults) or "0",
    ]


def _percentiles(values: Percentiles | None, scale: float, form: str) -> str:
    if values is None:
        return "-"
    return " / ".join(format(v * scale, form) for v in (values.p50, values.p90, values.p99))


def _line(cells: list[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))
