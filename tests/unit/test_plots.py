"""The pictures of the benchmarks are drawn from their rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plot
from tests.support import ROOT

SERVER = [
    {"format": format_, "streams": streams, "first_p50_ms": 20.0, "first_p99_ms": 40.0}
    for format_ in ("mp3", "pcm")
    for streams in (1, 8)
]


def file_of(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_each_plot_gets_the_rows_that_have_its_fields(tmp_path: Path) -> None:
    kept = ROOT / "docs" / "rows" / "engine-int8.json"
    written = plot.draw([kept, file_of(tmp_path / "server.json", SERVER)], tmp_path / "images")
    assert [path.stem for path in written] == [one.name for one in plot.PLOTS]
    assert all(path.read_text(encoding="utf-8").count("<path") > 10 for path in written)


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    file = file_of(tmp_path / "server.json", SERVER)
    (first,), (second,) = (plot.draw([file], tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_rows_of_no_plot_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No plot"):
        plot.draw([file_of(tmp_path / "rows.json", [{"streams": 1}])], tmp_path)
