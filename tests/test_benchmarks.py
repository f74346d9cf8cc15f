"""The benchmarks run, and write what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
