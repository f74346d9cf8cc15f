"""Draws the rows that benchmarks wrote with ``--json``.

    python benchmarks/plot.py docs/rows/*.json --output docs/images

A file's fields tell what it shows: each plot takes the rows that have its fields, and several files
of one kind are series of one plot.  Needs matplotlib (extra ``bench``).
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 6.4, 3.4
"""Inches."""
COLOURS = ("#00796b", "#f57c00", "#5c6bc0", "#8d6e63")


@dataclass(frozen=True)
class Plot:
    """One picture: the rows that have all of ``fields``, drawn by ``draw``."""

    name: str
    fields: frozenset[str]
    draw: Callable[[Axes, Sequence[Row]], None]


def first_byte(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the milliseconds to the first byte by streams: the median, and up to the 99th in 100."""
    for colour, format_ in zip(COLOURS, dict.fromkeys(row["format"] for row in rows), strict=False):
        own = sorted((row for row in rows if row["format"] == format_), key=_streams)
        streams = [row["streams"] for row in own]
        low = [row["first_byte"]["p50"] * 1e3 for row in own]
        axes.plot(streams, low, "o-", color=colour, label=f"{format_}, median")
        high = [row["first_byte"]["p99"] * 1e3 for row in own]
        axes.fill_between(streams, low, high, color=colour, alpha=0.2, label=f"{format_}, to p99")
    axes.set(
        xscale="log", yscale="log", xlabel="streams", ylabel="ms to the first byte",
        title="Embedded engine on two cores",
    )  # fmt: skip
    axes.set_xticks(sorted({row["streams"] for row in rows}))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.legend()


def against_upstream(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how many times as fast as upstream's package a step is, by dtype and streams."""
    labels = [f"{row['model']}, {row['dtype']}\n{row['streams']} streams" for row in rows]
    bars = axes.bar(labels, [row["patch_ratio"] for row in rows], color=COLOURS[0])
    axes.bar_label(bars, fmt="%.1f×")
    axes.scatter(
        labels,
        [row["patch_worst"] for row in rows],
        color=COLOURS[1],
        zorder=3,
        label="worst repeat",
    )
    axes.axhline(1, color="gray", linewidth=1)
    axes.set(ylabel="times as fast", title="VoxCPM on two cores, against upstream's package")
    axes.margins(y=0.15)
    axes.legend()


def beside(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the seconds of a step alone and beside busy processes."""
    labels = [f"{row['streams']} streams" for row in rows]
    places = range(len(rows))
    series = (
        ("torch", "PyTorch's operators"),
        ("ours_patch", "C++"),
        ("beside", "C++, one busy process"),
    )
    for number, (field, label) in enumerate(series):
        at = [place + 0.27 * (number - 1) for place in places]
        bars = axes.bar(at, [row[field] for row in rows], 0.25, label=label, color=COLOURS[number])
        axes.bar_label(bars, fmt="%.2f")
    axes.set_xticks(places, labels)
    axes.set(ylabel="s for 0.16 s of audio each", title="VoxCPM1.5, int8, 10 steps, two cores")
    axes.margins(y=0.15)
    axes.legend()


PLOTS = (
    Plot("first-byte", frozenset({"format", "streams", "first_byte"}), first_byte),
    Plot("against-upstream", frozenset({"patch_ratio", "patch_worst", "dtype"}), against_upstream),
    Plot("beside-others", frozenset({"torch", "ours_patch", "beside"}), beside),
)


def draw(files: Sequence[Path], folder: Path) -> list[Path]:
    """Write a picture for each plot that has rows; return their paths."""
    from matplotlib import use

    use("svg")
    from matplotlib import pyplot

    # The same rows make the same file.
    pyplot.rcParams["svg.hashsalt"] = "rows"
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for plot in PLOTS:
        own = [row for row in rows if plot.fields <= row.keys()]
        if own:
            figure, axes = pyplot.subplots(figsize=SIZE, layout="constrained")
            plot.draw(axes, own)
            path = folder / f"{plot.name}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
            written.append(path)
    return written


def _streams(row: Row) -> int:
    return int(row["streams"])


def main() -> None:
    """Draw, and print the paths."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="rows, as --json writes them")
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="folder")
    chosen = parser.parse_args()
    if not (written := draw(chosen.files, chosen.output)):
        parser.error("no plot has these rows")
    print(*written, sep="\n")


if __name__ == "__main__":
    main()
