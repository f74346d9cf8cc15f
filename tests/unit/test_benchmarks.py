"""The benchmarks run as commands, and write the rows that they promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.benchmarks import on_linux, rows_of

PAGES = ("docs/benchmarks.md", "docs/gpu.md", "Makefile")


def test_the_server_benchmark_starts_a_server_and_compares_it_with_the_engine(
    tmp_path: Path,
) -> None:
    options = ("--streams", "1,2", "--requests", "2", "--text", "Hello.")
    (*levels, cost), printed = rows_of(tmp_path, "benchmarks/server.py", *options)
    assert [row["streams"] for row in levels] == [1, 2]
    assert all(row["faults"] == {} and row["first_byte"]["p50"] > 0 for row in levels)
    assert set(cost["first_byte_p50"]) == {"http", "engine"}
    assert "the HTTP layer adds" in printed


def test_the_text_benchmark_measures_the_cost_by_length_and_the_first_byte(tmp_path: Path) -> None:
    rows, printed = rows_of(tmp_path, "benchmarks/text.py", "--repeats", "1")
    costs, firsts = rows[:6], rows[6:]
    assert [row["characters"] for row in costs] == [100, 4096, 200_000] * 2
    assert all(row["plan"] > 0 and row["whole"] > 0 for row in costs)
    assert [row["text"] for row in firsts] == ["plain", "dense"]
    assert all(row["first_ratio"] > 0 for row in firsts)
    assert "package_first" in printed


def test_the_session_benchmark_measures_the_first_sound_of_a_growing_text(tmp_path: Path) -> None:
    rows, printed = rows_of(tmp_path, "benchmarks/session.py", "--repeats", "1")
    assert [row["text"] for row in rows] == ["clause", "sentence", "dense", "markup"]
    assert all(row["first_ms_p50"] > row["cut_ms"] > 0 for row in rows)
    assert "Sure, I can help you with that," in printed


def test_the_mandarin_benchmark_measures_listeners_and_english_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("misaki")
    options = ("--repeats", "1", "--requests", "2")
    rows, printed = rows_of(tmp_path, "benchmarks/mandarin.py", *options)
    assert [row["listeners"] for row in rows[:4]] == [1, 1, 2, 3]
    assert all(row["first_ms"] > 0 and row["refused"] < row["listeners"] for row in rows[:4])
    assert [row["chinese"] for row in rows[4:]] == [False, True]
    assert "first_p99_ms" in printed


def test_the_loop_benchmark_measures_three_scenes(tmp_path: Path) -> None:
    options = ("--streams", "1,3", "--iterations", "20")
    rows, printed = rows_of(tmp_path, "benchmarks/loop.py", *options)
    assert [(row["scene"], row["streams"]) for row in rows] == [
        (scene, count) for scene in ("fast", "played", "texts") for count in (1, 3)
    ]
    for row in rows:
        assert min(row["iteration"], row["silence"], row["schedule"], row["deliver"]) > 0
        assert row["first_chunk"] >= 1
        assert row["scene"] in printed


@on_linux
def test_the_load_benchmark_measures_clients_and_the_threads_of_the_server(tmp_path: Path) -> None:
    options = ("--streams", "1,3", "--formats", "pcm,mp3", "--seconds", "1", "--greedy")
    rows, _ = rows_of(tmp_path, "benchmarks/load.py", *options)
    assert [(row["format"], row["streams"]) for row in rows] == [
        ("pcm", 1), ("pcm", 3), ("mp3", 1), ("mp3", 3),
    ]  # fmt: skip
    for row in rows:
        assert row["faults"] == 0
        assert row["requests"] >= row["streams"]
        assert row["iteration_ms"] >= row["step_ms"] >= 5
        assert min(row["first_p50_ms"], row["audio_per_second"], row["late_p50_ms"]) > 0
        assert min(row["requests_cpu"], row["engine_cpu"], row["client_cpu"]) > 0


@on_linux
def test_the_hostile_benchmark_measures_a_client_beside_each_attack(tmp_path: Path) -> None:
    rows, printed = rows_of(tmp_path, "benchmarks/hostile.py", "--quick")
    assert [row["attack"] for row in rows] == [
        "nothing", "half a line", "half a head", "half a body", "half a chunk",
        "TLS hello", "idle", "slow readers", "uploads", "byte by byte",
    ]  # fmt: skip
    for row in rows:
        assert row["calm_failures"] < row["calm_requests"]
        assert row["failures"] < row["requests"]
        assert row["ratio"] == pytest.approx(row["first_p99_ms"] / row["calm_p99_ms"])
        assert row["holds"] == (row["ratio"] <= 1.2)
        assert row["attack"] in printed


@on_linux
def test_the_sockets_benchmark_measures_requests_beside_agents(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path, "benchmarks/sockets.py", "--quick")
    assert [(row["engine"], row["agents"]) for row in rows] == [("embedded", 2), ("paced", 4)]
    for row in rows:
        assert row["lost"] == row["left"] == 0
        assert row["failures"] < row["requests"]
        assert min(row["turns"], row["heard_p50_ms"]) > 0


@on_linux
def test_the_soak_benchmark_fails_where_a_bar_is_missed(tmp_path: Path) -> None:
    """In a few seconds the memory of a server that has just started still grows."""
    file = tmp_path / "rows.json"
    options = ("--minutes", "0.05", "--streams", "2", "--json", str(file))
    result = subprocess.run(
        [sys.executable, "benchmarks/soak.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    minute, *bars = json.loads(file.read_text())
    assert minute["whole"] > 0
    missed = {row["bar"] for row in bars if not row["holds"]}
    assert all(bar.startswith("growth of ") for bar in missed), missed
    assert result.returncode == bool(missed)
    assert ("all bars hold" in result.stdout) == (not missed)


@on_linux
def test_the_soak_benchmark_says_which_request_fails_without_a_load() -> None:
    result = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--minutes", "0.05", "--streams", "2"],
        cwd=ROOT,
        env={**os.environ, "VOXCPM_MAX_INPUT_CHARS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "The server fails without a load: 400 instead of 200\n"


def test_the_encoders_benchmark_compares_each_format_with_pydub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in the place of ffmpeg, which need not be installed."""
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text('#!/bin/sh\nfor last; do :; done\n: > "$last"\n')
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    rows, _ = rows_of(tmp_path, "benchmarks/encoders.py", "--repeats", "1")
    assert {row["format"] for row in rows} == {"aac", "flac", "mp3", "opus", "pcm", "wav"}
    for row in rows:
        assert row["ms_ratio"] == pytest.approx(row["pydub_ms"] / row["ours_ms"])


def test_the_encoders_benchmark_says_what_it_needs() -> None:
    result = subprocess.run(
        [sys.executable, "benchmarks/encoders.py"],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "pydub needs ffmpeg" in result.stderr


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_that_a_page_names_are_there(page: str) -> None:
    named = re.findall(r"benchmarks/[\w/]+\.(?:py|txt)", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
