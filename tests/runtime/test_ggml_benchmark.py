"""The engine benchmark's peer VoxCPM.cpp, with a script in its place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.benchmarks import rows_of

pytest.importorskip("torch", reason="the benchmark's processes need it")

SPEAK = """
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert given["--backend"] == "cpu" and given["--threads"] == "1"
assert given["--text"] and given["--cfg-value"] == "2.0" and given["--inference-timesteps"] == "2"
assert os.path.isdir(os.path.dirname(given["--output"]))
assert open(given["--model-path"]).read() == "weights"
assert os.environ["VOXCPM_BENCHMARK_IGNORE_STOP"] == "1"
patches = int(os.environ["VOXCPM_BENCHMARK_DECODE_STEPS"])
tell("Using backend: cpu (CPU)\\nRunning prefill, seq_len=60...\\n")
tell(f"Running decode loop, max_len={patches} (benchmark_steps={patches}, ignore_stop=1)...\\n")
for patch in (*range(1, patches + 1), patches):
    tell("\\r[decode] "), tell(patch), tell("/"), tell(patches)
    tell(" | elapsed 0:01 | 1.10 it/s | 0.909 s/it")
tell("\\nSaved audio to whole.wav (0.640s)\\n\\n=== Timing Breakdown ===\\n")
tell("  AudioVAE encode:   0.000s\\n  Model inference:   99.900s  (prefill + decode loop)\\n")
tell("  AudioVAE decode:   400.000s\\n  Total:             499.900s\\n")
"""
LINES = "did not print '[decode] 1/4' to '4/4' and 'AudioVAE decode: 1.234s'"
OTHERS = {
    "fails": (
        "tell('Loading GGUF\\nError: Failed to load GGUF: model.gguf\\n'); sys.exit(1)",
        "ended with status 1: \nLoading GGUF\nError: Failed to load GGUF: model.gguf",
    ),
    "fails without a word": ("sys.exit(3)", "ended with status 3: it printed nothing."),
    "is killed": ("os.kill(os.getpid(), 9)", "ended with status -9: it printed nothing."),
    "is another program": ("print('usage: other')", f"{LINES}: \nusage: other"),
    "prints nothing": ("", f"{LINES}: it printed nothing."),
    "stops early": (
        "tell('[decode] 1/4 |\\r[decode] 2/4 |\\nStop token triggered at step 2.\\n')\n"
        "tell('AudioVAE decode: 1.000s\\n')",
        f"{LINES}: \n[decode] 1/4 |\n[decode] 2/4 |\nStop token triggered at step 2."
        "\nAudioVAE decode: 1.000s",
    ),
    "does not decode": (
        "for patch in range(1, 5):\n    tell(f'[decode] {patch}/4\\n')",
        f"{LINES}: \n[decode] 1/4\n[decode] 2/4\n[decode] 3/4\n[decode] 4/4",
    ),
}


ERRORS = """
for binary in given:
    try:
        Ggml(Path(binary), Path(binary), threads=1).run(4)
    except GgmlError as error:
        found.append(str(error).removeprefix(binary + " "))
"""
MOMENTS = """
for chunks in given:
    found.append(moments([(moment, text.encode()) for moment, text in chunks]))
"""


def results(program: str, given: object) -> list[Any]:
    """Run a program on the peer's module, in a process of its own, as benchmarks run."""
    begin = "import json, sys\nfrom pathlib import Path\n"
    begin += "from benchmarks.lib.ggml import Ggml, GgmlError, moments\n"
    begin += "given, found = json.load(sys.stdin), []\n"
    whole = f"{begin}{program}\nprint(json.dumps(found))"
    ended = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return list(json.loads(ended.stdout))


def make(binary: Path, body: str) -> Path:
    tell = "def tell(what):\n    print(what, end='', file=sys.stderr, flush=True)\n"
    binary.write_text(f"#!{sys.executable}\nimport os, sys\n{tell}{body}\n", encoding="utf-8")
    binary.chmod(0o755)
    return binary


def command(binary: Path) -> tuple[str, ...]:
    weights = binary.with_name("model.gguf")
    weights.write_text("weights", encoding="utf-8")
    small = ("--size", "tiny", "--steps", "2", "--repeats", "2", "--patches", "4")
    peer = ("--ggml", str(binary), str(weights))
    return ("benchmarks/engine.py", *small, "--streams", "1,3", "--beside", "1", *peer)


def test_the_engine_benchmark_runs_ggml_in_turn_alone_and_beside_others(tmp_path: Path) -> None:
    (one, three), printed = rows_of(tmp_path, *command(make(tmp_path / "voxcpm_tts", SPEAK)))
    for row in (one, three):
        assert row["ggml_patch_ratio"] == pytest.approx(row["ggml_patch"] / row["ours_patch"])
        assert row["ggml_beside_ratio"] == pytest.approx(row["ggml_beside"] / row["beside"])
        shares = row["streams"] * 400 / 4  # of the time in which it decodes all patches
        assert row["ggml_patch"] == pytest.approx(shares, rel=0.05)
        assert 0 < row["ggml_patch_worst"] <= row["ggml_patch_ratio"] * (1 + 1e-9)
        assert 0 < row["ggml_beside_worst"] <= row["ggml_beside_ratio"] * (1 + 1e-9)
    assert "ggml_patch_ratio" in printed


def test_a_patch_counts_from_one_report_to_the_next_however_the_lines_are_cut() -> None:
    whole = [(moment, f"\r[decode] {moment}/12 | 0.9 s/it") for moment in range(1, 13)]
    cuts = range(1, len(whole[0][1]))
    given: list[object] = [
        [(moment, part) for moment, line in whole for part in (line[:cut], line[cut:])]
        for cut in cuts
    ]
    given.append([(0, "[GGUF] with [brackets\n"), *whole, (13, "\r[decode] 12/12\n")])
    given.append([(1, "[decode] 1/2 [decode] 1/2"), (2, "[decode] 2/2")])
    *cut_lines, twice = results(MOMENTS, given)
    assert cut_lines == [[*range(1, 13)]] * (len(cuts) + 1)
    assert twice == [1, 2]


def test_a_binary_that_does_something_else_is_reported_with_what_it_printed(tmp_path: Path) -> None:
    binaries = [make(tmp_path / name, body) for name, (body, _) in OTHERS.items()]
    errors = results(ERRORS, [str(binary) for binary in binaries])
    assert dict(zip(OTHERS, errors, strict=True)) == {
        name: text for name, (_, text) in OTHERS.items()
    }


def test_a_binary_that_does_not_start_is_reported(tmp_path: Path) -> None:
    denied = make(tmp_path / "denied", SPEAK)
    denied.chmod(0o644)
    assert results(ERRORS, [str(tmp_path / "missing"), str(denied)]) == [
        "does not start: No such file or directory.",
        "does not start: Permission denied.",
    ]


def test_the_engine_benchmark_ends_at_once_with_what_a_bad_binary_printed(tmp_path: Path) -> None:
    bad = command(make(tmp_path / "voxcpm_tts", OTHERS["fails"][0]))
    ended = subprocess.run(
        [sys.executable, *bad], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == "", "before anything is measured"
    assert ended.stderr.endswith("Error: Failed to load GGUF: model.gguf\n")
    assert "Traceback" not in ended.stderr
