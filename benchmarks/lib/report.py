"""Rows of figures: percentiles and ratios, a printed table, a JSON file, a results file.

A row maps names to JSON values.  ``name_p50_ms`` and so on are percentiles.
"""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from voxcpm_openai.load_test import LoadReport, Percentiles

Row = dict[str, Any]


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows to this file")
    return parser


def counts(value: str) -> tuple[int, ...]:
    """Read numbers above zero, such as ``1,8,64``."""
    numbers = tuple(int(part) for part in value.split(","))
    if min(numbers) < 1:
        raise ValueError(value)
    return numbers


def spread(name: str, found: Percentiles | None) -> Row:
    """Return percentiles in seconds as milliseconds, None where there are none."""
    values = asdict(found) if found else dict.fromkeys(("p50", "p90", "p99"))
    return {
        f"{name}_{key}_ms": None if value is None else value * 1e3 for key, value in values.items()
    }


def percentiles(name: str, seconds: Iterable[float]) -> Row:
    return spread(name, Percentiles.of(seconds))


def load_figures(report: LoadReport) -> Row:
    return {
        "streams": report.streams,
        "requests": report.requests,
        "faults": sum(report.faults.values()),
        **spread("first", report.first_byte),
        "gap_ms": report.longest_gap * 1e3,
        "underruns": report.underruns,
        "rtf": report.rtf and report.rtf.p50,
        "rest_rtf": report.rest_rtf and report.rest_rtf.p50,
        "audio_per_second": report.audio_per_second,
    }


def versus(ours: Sequence[float], peer: Sequence[float], name: str, what: str) -> Row:
    """Compare repeats in turn, where less is better.

    Returns the medians as ``ours_<what>`` and ``<name>_<what>``, how many times less ours is as
    ``<what>_ratio``, and the lowest ratio of a pair as ``<what>_worst``.
    """
    mine, theirs = median(ours), median(peer)
    worst = min(b / a for a, b in zip(ours, peer, strict=True))
    values = {f"ours_{what}": mine, f"{name}_{what}": theirs}
    return {**values, f"{what}_ratio": theirs / mine, f"{what}_worst": worst}


def print_table(rows: Sequence[Row]) -> None:
    """Print rows under the names of their fields; fields that are all alike come before."""
    top = rows[0]
    same = [key for key in top if len(rows) > 1 and all(row[key] == top[key] for row in rows)]
    if same:
        print(textwrap.fill(", ".join(f"{key} {_cell(top[key])}" for key in same), 100))
    keys = [key for key in top if key not in same]
    cells = [keys, *([_cell(row[key]) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_json(path: Path | None, rows: Sequence[Row]) -> None:
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


class ResultsFile:
    """The file ``rows.jsonl`` of a folder, a line for each row that is done.

    Rows of another ``device`` or size are kept, and do not count as done.
    """

    def __init__(self, folder: Path, size: str, machine: dict[str, str]) -> None:
        """Make the folder, and read the file; an incomplete last line is removed."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "rows.jsonl"
        self._size = size
        self._machine = machine
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        self._entries: list[Row] = [json.loads(line) for line in whole.splitlines()]

    def entries(self) -> list[Row]:
        here = (self._size, self._machine["device"])
        return [one for one in self._entries if (one["size"], one["machine"]["device"]) == here]

    def rows(self, part: str) -> dict[str, Row]:
        return {entry["label"]: entry["row"] for entry in self.entries() if entry["part"] == part}

    def add(self, part: str, label: str, row: Row) -> None:
        """Add a row; it is on disk when this returns."""
        entry = {"part": part, "label": label, "size": self._size, "machine": self._machine}
        self._entries.append({**entry, "row": row})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self._entries[-1]) + "\n")
            file.flush()
            os.fsync(file.fileno())
