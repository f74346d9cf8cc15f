"""``voxcpm-openai bench``: a load test of a server."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial

import click

from voxcpm_openai.cli.output import checked, opened
from voxcpm_openai.load_test import TEXTS, LoadPlan, LoadReport, Percentiles, run

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
"""The table's columns and their widths."""


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
@click.option("--streams", callback=_levels, default="1,8,32,64", show_default=True)
@click.option(
    "--requests",
    type=click.IntRange(min=1),
    help="Requests at each level.  Default: twice the streams, at least 16.",
)
@click.option("--format", "format_", default="pcm", show_default=True)
@click.option("--voice", default="alloy", show_default=True)
@click.option("--model", default="tts-1", show_default=True)
@click.option("--text", help="What to speak.  Default: four sentences in turn.")
@click.option("--api-key", envvar="OPENAI_API_KEY")
@click.option(
    "--json",
    "json_file",
    callback=partial(checked, binary=False),
    help="Write all figures to this file too, in seconds.",
)
def bench(
    url: str,
    streams: tuple[int, ...],
    requests: int | None,
    format_: str,
    voice: str,
    model: str,
    text: str | None,
    api_key: str | None,
    json_file: str | None,
) -> None:
    """Send speech requests to the server at URL, with rising numbers of streams.

    An underrun is a gap in the audio of a client that starts playback at the first byte.
    RTF is the time of a reply divided by its seconds of audio (the median).
    """
    reports: list[LoadReport] = []
    for level in streams:
        plan = LoadPlan(
            url=url,
            streams=level,
            requests=requests or max(2 * level, 16),
            texts=TEXTS if text is None else (text,),
            voice=voice,
            model=model,
            format=format_,
            api_key=api_key,
        )
        report = _run(plan)
        if not reports:
            click.echo(_line([name for name, _ in COLUMNS]))
        click.echo(_row(report))
        reports.append(report)
    warm_up = reports[0].warm_up
    click.echo(f"warm-up: first byte {warm_up.first_byte * 1e3:.1f} ms")
    if json_file is not None:
        content = json.dumps([asdict(report) for report in reports], indent=1) + "\n"
        with opened(json_file, binary=False) as file:
            file.write(content.encode())


def _run(plan: LoadPlan) -> LoadReport:
    with click.progressbar(
        length=plan.requests,
        label=f"{plan.streams} streams",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        return run(plan, lambda: bar.update(1))


def _row(report: LoadReport) -> str:
    faults = ", ".join(f"{count} x {fault}" for fault, count in report.faults.items())
    return _line(
        [
            str(report.streams),
            str(report.requests),
            _percentiles(report.first_byte, 1e3, ".1f"),
            _percentiles(report.total, 1, ".2f"),
            f"{report.longest_gap * 1e3:.0f}",
            str(report.underruns),
            "-" if report.rtf is None else f"{report.rtf.p50:.3f}",
            f"{report.audio_per_second:.1f}",
            faults or "0",
        ]
    )


def _percentiles(values: Percentiles | None, scale: float, form: str) -> str:
    if values is None:
        return "-"
    return " / ".join(format(v * scale, form) for v in (values.p50, values.p90, values.p99))


def _line(cells: list[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))
