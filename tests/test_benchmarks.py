"""The benchmarks run, and write what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_server_benchmark_starts_a_server_and_writes_its_rows(tmp_path: Path) -> None:
    rows_file = tmp_path / "rows.json"
    result = subprocess.run(
        [sys.executable, "benchmarks/server.py", "--streams", "1,2", "--requests", "2",
         "--text", "Hello.", "--json", str(rows_file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    *levels, cost = json.loads(rows_file.read_text())
    assert [row["streams"] for row in levels] == [1, 2]
    assert all(row["faults"] == {} and row["first_byte"]["p50"] > 0 for row in levels)
    assert set(cost["first_byte_p50"]) == {"http", "engine"}
    assert "the HTTP layer adds" in result.stdout


def test_the_loop_benchmark_measures_three_scenes(tmp_path: Path) -> None:
    rows_file = tmp_path / "rows.json"
    result = subprocess.run(
        [sys.executable, "benchmarks/loop.py", "--listeners", "1,3", "--turns", "20",
         "--json", str(rows_file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = json.loads(rows_file.read_text())
    assert [(row["scene"], row["listeners"]) for row in rows] == [
        (scene, count) for scene in ("fast", "played", "texts") for count in (1, 3)
    ]
    assert all(row["turn"] > 0 and row["edges"] > 0 and row["first_chunk"] >= 1 for row in rows)
    assert all(scene in result.stdout for scene in ("fast", "played", "texts"))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_the_crowd_benchmark_serves_a_crowd_and_looks_at_its_threads(tmp_path: Path) -> None:
    rows_file = tmp_path / "rows.json"
    result = subprocess.run(
        [sys.executable, "benchmarks/crowd.py", "--streams", "1,3", "--formats", "pcm,mp3",
         "--seconds", "1", "--greedy", "--json", str(rows_file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = json.loads(rows_file.read_text())
    assert [(row["format"], row["streams"]) for row in rows] == [
        ("pcm", 1), ("pcm", 3), ("mp3", 1), ("mp3", 3),
    ]  # fmt: skip
    for row in rows:
        assert row["faults"] == 0
        assert row["replies"] >= row["streams"]
        assert row["turn"] >= row["step"] >= 5
        assert min(row["first_p50"], row["sound"], row["requests_cpu"], row["engine_cpu"]) > 0
