"""The GPU benchmark, run as a command on a CPU with tiny weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401  (the commands need it)

from tests.runtime.conftest import require
from tests.support import ROOT

RUN = "benchmarks/gpu/run.py"
NOT_NEEDED = (
    "av", "click", "einops", "flask", "gunicorn", "hibari", "marshmallow", "pluggy", "pydantic",
    "soundfile", "soxr", "transformers", "voxcpm",
)  # fmt: skip
NANO = '''
"""The parts of the package that the benchmark uses; logs its options."""
import os, pathlib, types
import flash_attn, librosa
flash_attn.flash_attn_func, flash_attn.flash_attn_varlen_func, flash_attn.flash_attn_with_kvcache

class VoxCPMServerImpl:
    def __init__(self, folder, **options):
        with pathlib.Path(os.environ["NANO_LOG"]).open("a") as log:
            print(sorted(os.listdir(folder)), options, file=log)
        self.llm = types.SimpleNamespace(tokenizer=lambda text: ["_", *text])
        self.left = {}
    def add_request(self, name, text, *, max_generate_length, cfg_value):
        self.left[name] = max_generate_length - int(os.environ.get("NANO_STOPS_EARLY", 0))
    def is_finished(self):
        return not self.left
    def step(self):
        sound = types.SimpleNamespace(generated_waveforms=[[0.5]])
        stepped = [types.SimpleNamespace(seq_id=name, custom_payload=sound) for name in self.left]
        self.left = {name: left - 1 for name, left in self.left.items() if left > 1}
        return stepped
'''


class Bench:
    """Runs the command in its own folder; ``before``: lines of Python to run first."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.env: dict[str, str] = {}

    def __call__(
        self, part: str, rows: str = "", *more: str, before: str = ""
    ) -> subprocess.CompletedProcess[str]:
        options = ["--part", part, "--rows", rows, "--state", str(self.state), *more]
        options += ["--json", str(self.state / "rows.json")]
        program = f"{before}\nimport runpy, sys\nsys.argv = {[RUN, *options]}\n"
        program += f"runpy.run_path({RUN!r}, run_name='__main__')\n"
        command = [sys.executable, "-c", program] if before else [sys.executable, RUN, *options]
        env: Mapping[str, str] = {**os.environ, **self.env}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    def rows(self, part: str, rows: str = "", *more: str, before: str = "") -> list[dict[str, Any]]:
        """Run on a CPU with tiny weights; return the rows."""
        small = ("--device", "cpu", "--size", "tiny", *more)
        result = self(part, rows, *small, before=before)
        assert result.returncode == 0, result.stdout + result.stderr
        return [entry["row"] for entry in self.entries()]

    def entries(self) -> list[dict[str, Any]]:
        """Return the rows that the last run wrote."""
        entries: list[dict[str, Any]] = json.loads((self.state / "rows.json").read_text())
        return entries


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "state").mkdir()
    return Bench(tmp_path / "state")


def test_the_memory_part_runs_without_server_packages_and_recovers(
    bench: Bench,
) -> None:
    before = f"import sys; sys.modules.update(dict.fromkeys({NOT_NEEDED}))"
    (row,) = bench.rows("memory", "1.5", before=before)
    assert (row["refused"], row["state"], row["recovers"]) == ("Overloaded", "ready", True)
    assert row["slots"] == 8, "the end of the search"
    assert bench.entries()[0]["machine"]["device"].startswith("cpu")
    assert "as it would be" in (bench.state / "engine.log").read_text()


def test_a_run_skips_the_rows_that_are_done(bench: Bench) -> None:
    file = bench.state / "rows.jsonl"
    labels = ["2, 1 rows", "2, 3 rows", "1.5, 1 rows", "1.5, 3 rows"]
    small = ("--device", "cpu", "--size", "tiny")
    assert len(bench.rows("launches")) == 4
    text = file.read_text()
    file.write_text(text[: len(text) - 20])  # as if the last write was interrupted
    printed = bench("launches", "", *small).stdout
    assert [line for line in printed.splitlines() if line.startswith("launches:")] == [
        "launches: 1.5, 3 rows"
    ]
    assert [entry["label"] for entry in bench.entries()] == labels
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["machine"]["device"], lines[1]["size"] = "some GPU", "true"
    lines[2]["machine"]["driver"] = "another"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    printed = bench("launches", "", *small).stdout
    assert [line for line in printed.splitlines() if line.startswith("launches:")] == [
        f"launches: {label}" for label in labels[:2]
    ], "rows of another device or size are run again"
    assert all(entry["row"]["launches"] > 100 for entry in bench.entries())


def test_a_run_that_exceeds_its_time_reports_the_number_of_rows_left(bench: Bench) -> None:
    result = bench("step", "", "--device", "cpu", "--size", "tiny", "--seconds", "-1")
    assert result.returncode == 1
    assert "6 rows are left" in result.stdout
    assert bench.entries() == []


def test_a_failed_row_is_reported_and_the_others_run(bench: Bench) -> None:
    before = (
        "from voxcpm_openai.runtime.device import loader\n"
        "load = loader.load_model\n"
        "def fail(folder, *more):\n"
        "    if '1.5' in folder.name:\n"
        "        raise RuntimeError('CUDA error')\n"
        "    return load(folder, *more)\n"
        "loader.load_model = fail\n"
    )
    result = bench("launches", "1 rows", "--device", "cpu", "--size", "tiny", before=before)
    assert result.returncode == 1
    assert "launches: 1.5, 1 rows failed: RuntimeError: CUDA error" in result.stdout
    assert [entry["label"] for entry in bench.entries()] == ["2, 1 rows"]


def test_the_rows_with_targets_come_first(bench: Bench) -> None:
    listed = bench("all", "", "--list").stdout.splitlines()
    assert listed[:3] == ["nano: 2, 1 streams", "nano: 2, 8 streams", "nano: 2, 64 streams"]
    assert listed[6:8] == ["http: 2, 1 streams, burst, pcm", "http: 2, 64 streams, burst, pcm"]
    early = listed[: listed.index("nano: 2, 2 streams")]
    assert "engine: 2, 256 listeners, burst" in early
    assert {line.split(":")[0] for line in early} == {
        "nano", "http", "paths", "parity", "step", "upstream", "engine",
    }  # fmt: skip
    http = [line for line in listed if line.startswith("http: 1.5")]
    assert http[2:] == [
        f"http: 1.5, {way}"
        for way in (
            "1 streams, burst, wav",
            "8 streams, burst, pcm",
            "8 streams, poisson, pcm",
            "64 streams, burst, wav",
            "64 streams, poisson, pcm",
            "256 streams, burst, pcm",
            "256 streams, poisson, pcm",
        )
    ]


def test_a_part_without_its_packages_is_skipped(bench: Bench) -> None:
    result = bench("nano", "", "--device", "cpu", "--size", "tiny")
    assert result.returncode == 0
    assert "nano is left out for want of nanovllm_voxcpm" in result.stdout


def test_without_a_gpu_the_error_names_the_options_for_a_cpu(bench: Bench) -> None:
    result = bench("all", before="import torch; torch.cuda.is_available = lambda: False")
    assert result.returncode == 2
    assert "--device cpu --size tiny tries the script" in result.stderr


def test_parity_is_within_the_tolerance_in_float32(bench: Bench) -> None:
    rows = bench.rows("parity", "voxcpm15")
    modes = {"zero-shot", "prompt", "among others", "graphs", "engine"}
    assert {row["mode"] for row in rows} == modes
    for row in rows:
        assert row["within_tolerance"] is (True if row["dtype"] == "float32" else None)
        assert row["relative"] < 0.2
        assert (row["encoded"] is not None) == (row["mode"] == "prompt")


def test_parity_detects_wrong_weights(bench: Bench) -> None:
    before = (
        "from benchmarks.gpu.bench import Bench\n"
        "load = Bench.load\n"
        "def scaled(*args):\n"
        "    model = load(*args)\n"
        "    model.embed_tokens.mul_(2)\n"
        "    return model\n"
        "Bench.load = scaled\n"
    )
    (row,) = bench.rows("parity", "voxcpm15, zero-shot, float32", before=before)
    assert row["within_tolerance"] is False
    assert row["latents"] >= row["first"] > 1e-4


def test_a_step_is_measured_as_a_whole_and_by_part(bench: Bench) -> None:
    (row,) = bench.rows("step", "1.5, 2 rows")
    assert row["rtf"] == pytest.approx(row["step_ms"] / 160)
    assert row["audio_per_second"] == pytest.approx(2 / row["rtf"])
    parts = [row[f"{name}_ms"] for name in ("base", "residual", "encoder", "dit", "vae")]
    assert min(row["first_ms"], row["host_ms"], *parts) > 0
    assert row["goal_rtf"] is row["floor_ms"] is None, "only for the real sizes"


def test_each_path_is_tried_and_what_it_should_cost_is_beside(bench: Bench) -> None:
    _, _, right, _, refused, *_, chosen = bench.rows("paths", "1.5,")
    assert (right["path"], right["verdict"]) == ("torch kernels, CUDA graphs", "right")
    assert "needs a CUDA device" in refused["verdict"]
    assert 0 < refused["predicted_launches"] < right["predicted_launches"]
    assert min(right["predicted_gb"], right["predicted_ms"], right["step_ms"]) > 0
    assert chosen["path"].startswith("torch kernels")


def test_kernels_are_compared_with_torch(bench: Bench) -> None:
    bench.env["TRITON_INTERPRET"] = ""
    rows = bench.rows("kernels", "1.5, 1 rows")
    assert len(rows) == 12
    for row in rows:
        assert (row["ran"], row["error"]) == ("torch in its place", 0)
        assert row["within_tolerance"]
        assert row["speedup"] == pytest.approx(row["torch_us"] / row["triton_us"])


def test_triton_kernels_are_interpreted_on_a_cpu(bench: Bench) -> None:
    require("triton")
    rows = bench.rows("kernels", ", 1 rows", before="import tests.support.runtime.interpreted")
    assert len(rows) == 2 * 12
    for row in rows:
        assert (row["ran"], row["within_tolerance"]) == ("interpreter", True), row


def test_a_wrong_kernel_is_not_within_the_tolerance(bench: Bench) -> None:
    before = (
        "import torch\n"
        "from benchmarks.gpu import kernels\n"
        "class Wrong(kernels.TorchOps):\n"
        "    def swiglu(self, gate_up):\n"
        "        return super().swiglu(gate_up) * torch.nan\n"
        "kernels._triton = lambda _: (Wrong(), 'GPU')\n"
    )
    rows = bench.rows("kernels", "LM, 1.5, 3 rows", before=before)
    assert {row["kernel"]: row["within_tolerance"] for row in rows} == {
        "norm, LM": True, "swiglu, LM": False,
    }  # fmt: skip


def test_the_upstream_package_is_measured_with_the_same_weights(bench: Bench) -> None:
    require("voxcpm")
    (row,) = bench.rows("upstream", "1.5")
    expected = row["upstream_patch_ms"] / row["ours_patch_ms"]
    assert row["patch_ms_ratio"] == pytest.approx(expected)
    assert min(row["ours_first_ms"], row["upstream_first_ms"]) > 0


def test_the_engine_is_measured_with_burst_and_poisson_arrivals(bench: Bench) -> None:
    rows = bench.rows("engine", "1.5, 1 listeners")
    assert [(row["arrivals"], row["requests"]) for row in rows] == [("burst", 1), ("poisson", 4)]
    for row in rows:
        assert row["refused"] == 0
        assert 0 < row["first_p50_ms"] <= row["first_p99_ms"]
        assert min(row["rtf"], row["audio_per_second"]) > 0


def test_the_server_is_measured_over_http(bench: Bench) -> None:
    (row,) = bench.rows("http", "1.5, 3 streams, burst, wav")
    assert (row["requests"], row["faults"], row["target_ms"]) == (6, 0, None)
    assert 0 < row["first_p50_ms"] <= row["first_p99_ms"]
    assert min(row["rtf"], row["rest_rtf"], row["audio_per_second"]) > 0


@pytest.fixture
def nano(bench: Bench, tmp_path: Path) -> Bench:
    """The benchmark with a small substitute for nano-vllm-voxcpm."""
    folder = tmp_path / "site" / "nanovllm_voxcpm" / "models" / "voxcpm"
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(NANO)
    for name in ("librosa", "xxhash"):
        (tmp_path / "site" / f"{name}.py").touch()
    bench.env = {"PYTHONPATH": str(tmp_path / "site"), "NANO_LOG": str(tmp_path / "log")}
    return bench


def test_both_engines_of_the_nano_part_are_loaded_once(nano: Bench) -> None:
    rows = nano.rows("nano", "1.5")
    logged = Path(nano.env["NANO_LOG"]).read_text().splitlines()
    assert ["'max_num_seqs': 3" in line for line in logged] == [True, False], "targets, then sweep"
    assert "'inference_timesteps': 10" in logged[0]
    assert "audiovae.pth" in logged[0]
    assert "audiovae.safetensors" not in logged[0], "it would be loaded as the model"
    assert [row["streams"] for row in rows] == [1, 3, 2]
    for row in rows:
        assert row["attention"] == "torch SDPA"
        assert 0 < row["worst"] <= row["ratio"]
        assert 0 < row["nano_first_p50_ms"] <= row["nano_first_p90_ms"]
        assert 0 < row["ours_first_p50_ms"] <= row["ours_first_p90_ms"]
        assert min(row["ours_rtf"], row["ours_rest_rtf"], row["ours_audio_per_second"]) > 0
        assert row["target"] is None


def test_a_stream_that_ends_early_fails_and_its_engine_is_not_reloaded(nano: Bench) -> None:
    nano.env["NANO_STOPS_EARLY"] = "1"
    result = nano("nano", "1.5", "--device", "cpu", "--size", "tiny")
    assert result.returncode == 1
    assert "a stream ended after 4 patches and not after 5" in result.stderr
    assert "nano: 1.5, 1 streams failed: RuntimeError: nano-vllm-voxcpm has ended" in result.stdout
    assert "nano: 1.5, 3 streams failed: RuntimeError: nano 1.5 3 has failed" in result.stdout
    assert nano.entries() == []


def test_the_requirements_list_the_packages_of_all_parts(bench: Bench) -> None:
    """Except torch, transformers and their dependencies."""
    dependencies = {"transformers", "tqdm", "huggingface_hub", "click"}
    lines = (ROOT / "benchmarks/gpu/requirements.txt").read_text().splitlines()
    listed = {line.partition("==")[0].replace("-", "_") for line in lines} | {"nanovllm_voxcpm"}
    before = "import importlib.util; importlib.util.find_spec = lambda name: None"
    printed = bench("all", "no such row", "--device", "cpu", "--size", "tiny", before=before).stdout
    left_out = [line.partition(" for want of ")[2].rstrip(".") for line in printed.splitlines()]
    required = {name for line in left_out for name in line.split(", ") if name}
    assert {"voxcpm", "flask", "nanovllm_voxcpm"} <= required
    assert required - dependencies <= listed
    assert "nano-vllm-voxcpm==2.0.5" in lines
