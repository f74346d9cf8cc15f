"""Draws the rows that benchmarks wrote with ``--json``.

    python benchmarks/plot.py docs/rows/*.json --output docs/images

A file's fields tell what it shows: each plot takes the rows that have its fields, and several files
of one kind are series of one plot.  Needs matplotlib (extra ``bench``).
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.plots import PLOTS

SIZE = 6.4, 3.4
"""Inches."""


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
