"""The soak benchmark for a minute, at a size for two cores: nothing is kept, nothing is lost."""

from __future__ import annotations

from pathlib import Path

from tests.support.benchmarks import on_linux, rows_of

SIZE = ("--minutes", "1", "--streams", "8")


@on_linux
def test_a_minute_of_clients_of_all_kinds_leaves_nothing_behind(tmp_path: Path) -> None:
    """The benchmark fails where a bar is missed."""
    (minute, *_), printed = rows_of(tmp_path, "benchmarks/soak.py", *SIZE)
    kinds = ("whole", "cut", "slow", "halves", "bad", "voices")
    assert all(minute[kind] > 0 for kind in kinds), minute
    assert "all bars hold" in printed
