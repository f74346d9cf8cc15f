"""The pictures of the benchmarks are drawn from their rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import ROOT

ROWS, IMAGES = ROOT / "docs" / "rows", ROOT / "docs" / "images"
SERVER = [
    {"format": format_, "streams": streams, "first_byte": {"p50": 0.02, "p99": 0.04}}
    for format_ in ("mp3", "pcm")
    for streams in (1, 8)
]


def plotted(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/plot.py", *map(str, files), "--output", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def file_of(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_each_plot_gets_the_rows_that_have_its_fields(tmp_path: Path) -> None:
    kept = ROWS / "engine-int8.json"
    done = plotted(tmp_path, kept, file_of(tmp_path / "server.json", SERVER))
    names = ["first-byte.svg", "against-upstream.svg", "beside-others.svg"]
    assert done.stdout.split() == [str(tmp_path / name) for name in names]
    assert all((tmp_path / name).read_text("utf-8").count("<path") > 10 for name in names)


def test_the_pictures_of_the_docs_are_those_of_the_kept_rows(tmp_path: Path) -> None:
    assert plotted(tmp_path, *sorted(ROWS.glob("*.json"))).returncode == 0
    for picture in tmp_path.iterdir():
        assert picture.read_bytes() == (IMAGES / picture.name).read_bytes(), "run plot.py"


def test_rows_of_no_plot_are_an_error(tmp_path: Path) -> None:
    done = plotted(tmp_path, file_of(tmp_path / "rows.json", [{"streams": 1}]))
    assert done.returncode == 2
    assert "no plot has these rows" in done.stderr
