"""The benchmark for GPUs, on a CPU with tiny weights: it measures, goes on, and needs little."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.on_gpu import launches, listeners, memory, parity, steps, upstream
from benchmarks.on_gpu.bench import TINY, Bench, Task
from benchmarks.on_gpu.ledger import Ledger
from benchmarks.on_gpu.machine import Machine
from tests.runtime.tape import Recorder
from voxcpm_openai import Chunk, Unavailable

ROOT = Path(__file__).parent.parent.parent
NOT_NEEDED = (
    "av", "click", "einops", "flask", "gunicorn", "hibari", "marshmallow", "pluggy", "pydantic",
    "soundfile", "soxr", "transformers", "voxcpm",
)  # fmt: skip
HERE = Machine("some GPU", "1.0", "2.13.0", "3.11.7")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    scale = replace(TINY, warm=1, patches=3, repeats=1, spoken=4, span=0.0, most_slots=4)
    return Bench("cpu", scale, tmp_path)


@dataclass(frozen=True)
class Row:
    label: str


class Errands:
    """Tasks that note that they were done; ``faults``: what some of them raise."""

    def __init__(self, **faults: BaseException) -> None:
        self.done: list[str] = []
        self.faults = faults

    def tasks(self, _: Bench) -> Iterator[Task]:
        for label in ("one", "two", "three"):
            yield Task(label, partial(self.measure, label))

    def measure(self, label: str) -> Row:
        if label in self.faults:
            raise self.faults.pop(label)
        self.done.append(label)
        return Row(label)


@pytest.fixture
def errands(monkeypatch: pytest.MonkeyPatch) -> Errands:
    errands = Errands()
    monkeypatch.setitem(gpu.PARTS, "step", gpu.Part(errands.tasks, {"label": "label"}))
    return errands


def test_an_interrupted_part_goes_on_with_the_rows_that_are_left(
    tmp_path: Path, bench: Bench, errands: Errands
) -> None:
    errands.faults["two"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gpu.run_part("step", bench, Ledger(tmp_path, "tiny", HERE))
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"part": "step", "label": "tw')  # what was being written then
    assert gpu.run_part("step", bench, Ledger(tmp_path, "tiny", HERE)) == 0
    assert errands.done == ["one", "two", "three"]
    assert list(Ledger(tmp_path, "tiny", HERE).rows("step")) == ["one", "two", "three"]


def test_a_row_that_fails_is_told_and_tried_again_next_time(
    tmp_path: Path, bench: Bench, errands: Errands, capsys: pytest.CaptureFixture[str]
) -> None:
    errands.faults |= {"one": RuntimeError("CUDA error"), "two": Unavailable("It stopped.")}
    ledger = Ledger(tmp_path, "tiny", HERE)
    assert gpu.run_part("step", bench, ledger) == 2
    assert errands.done == ["three"]
    assert "step: one failed: RuntimeError: CUDA error" in capsys.readouterr().out
    assert gpu.run_part("step", bench, ledger) == 0
    assert errands.done == ["three", "one", "two"]


def test_a_part_whose_time_is_up_says_how_many_rows_are_left(
    tmp_path: Path, bench: Bench, errands: Errands, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path, "tiny", HERE)
    assert gpu.run_part("step", bench, ledger, until=time.monotonic() - 1) == 3
    assert errands.done == []
    assert "goes on with 3 more rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "machine", "done"),
    [
        ("tiny", HERE, {"one": {"x": 1}}),
        ("tiny", replace(HERE, driver="2.0"), {"one": {"x": 1}}),
        ("true", HERE, {}),
        ("tiny", replace(HERE, device="another GPU"), {}),
    ],
    ids=["the same", "another driver", "another size", "another GPU"],
)
def test_only_rows_of_the_same_size_and_device_count_as_done(
    tmp_path: Path, size: str, machine: Machine, done: dict[str, Any]
) -> None:
    Ledger(tmp_path, "tiny", HERE).add("step", "one", {"x": 1})
    assert Ledger(tmp_path, size, machine).rows("step") == done


def test_a_part_runs_without_the_packages_of_the_server(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    arguments = ["--part", "memory", "--state", str(tmp_path), "--json", str(rows)]
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({NOT_NEEDED}))\n"
        "from benchmarks import gpu\n"
        f"sys.exit(gpu.main({[*arguments, '--device', 'cpu', '--size', 'tiny']}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    entries = json.loads(rows.read_text())
    assert [(entry["part"], entry["label"]) for entry in entries] == [
        ("memory", "2"),
        ("memory", "1.5"),
    ]
    assert all(entry["machine"]["device"].startswith("cpu") for entry in entries)
    for row in (entry["row"] for entry in entries):
        # Refused for want of memory, and nothing else: the engine lives and speaks.
        told = (row["refused"], row["state"], row["speaks_again"])
        assert told == ("Overloaded", "ready", True)
    assert "slots that step" in result.stdout
    assert "as it would be" in (tmp_path / "engine.log").read_text()


@pytest.mark.parametrize(("limit", "found"), [(3, 3), (37, 36), (64, 64), (1000, 64)])
def test_the_most_slots_are_found(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: int, found: int
) -> None:
    bench.scale = replace(bench.scale, most_slots=64)
    monkeypatch.setattr(memory, "_steps", lambda _, __, count: count <= limit)
    assert memory.most_slots(bench, bench.model("1.5")) == found


@pytest.mark.parametrize("mode", ["zero-shot", "reference and prompt"])
def test_the_device_keeps_to_the_bar(bench: Bench, mode: str) -> None:
    row = parity.against_cpu(bench, "voxcpm2", mode, "float32")
    assert row.within_bar
    assert (row.encoded is None) == (mode == "zero-shot")


def test_a_device_that_is_a_little_off_does_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*arguments: Any) -> Any:
        model = bench_load(*arguments)
        model.embedding.mul_(2)
        return model

    bench_load = bench.load
    monkeypatch.setattr(bench, "load", load)
    row = parity.against_cpu(bench, "voxcpm15", "zero-shot", "float32")
    assert row.within_bar is False
    assert row.latents >= row.first > parity.BAR


def test_a_row_among_others_keeps_to_the_bar_and_other_dtypes_have_none(bench: Bench) -> None:
    assert parity.among_others(bench, "voxcpm15", "float32").within_bar
    row = parity.among_others(bench, "voxcpm15", "bfloat16")
    assert row.within_bar is None
    assert row.relative < 0.2


def test_graphs_keep_to_the_bar(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(bench, "capture", lambda: recorder)
    assert parity.graphs_and_twins(bench, "voxcpm2", "float32").within_bar
    assert recorder.captured == 3, "their texts, the patches that are heard, those that are made"
    assert recorder.replayed == 2 * parity.PATCHES


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_the_engine_says_the_same_to_many_as_to_one(bench: Bench, kind: str) -> None:
    row = parity.engine_and_crowd(bench, kind, "float32")
    assert row.within_bar
    assert 0 < row.samples < parity.BAR


def test_a_step_is_measured_whole_and_in_its_parts(bench: Bench) -> None:
    row = steps.measure(bench, "1.5", 2)
    assert row.rtf == pytest.approx(row.step_ms / 160)
    assert row.audio_per_second == pytest.approx(2 / row.rtf)
    parts = (row.base_ms, row.residual_ms, row.encoder_ms, row.dit_ms, row.vae_ms)
    assert min(row.first_ms, row.host_ms, *parts) > 0
    assert row.goal_rtf is row.floor_ms is None, "these are of the true sizes"


def test_what_a_step_launches_is_counted(bench: Bench) -> None:
    row = launches.measure(bench, "1.5", 1)
    assert row.launches > 100
    assert row.busy_ms > 0


def test_the_package_is_measured_on_the_same_weights(bench: Bench) -> None:
    row = upstream.measure(bench, "1.5")
    assert row.ratio == row.worst == row.upstream_ms / row.ours_ms
    assert min(row.ours_first_ms, row.upstream_first_ms) > 0


@pytest.mark.parametrize(("arrivals", "requests"), [("burst", 2), ("poisson", 4)])
def test_a_crowd_hears_the_engine(bench: Bench, arrivals: str, requests: int) -> None:
    row = listeners.measure(bench, "1.5", 2, arrivals)
    assert (row.requests, row.refused) == (requests, 0)
    assert row.first_p50_ms is not None
    assert row.first_p99_ms is not None
    assert 0 < row.first_p50_ms <= row.first_p99_ms
    assert row.rtf is not None
    assert row.audio_per_second is not None


def test_a_forced_runner_ends_each_job_after_so_many_patches(bench: Bench) -> None:
    model = bench.model("1.5")
    runner = listeners.ForcedRunner(model, slots=2, length=200, patches=5)
    engine = listeners.start(runner)
    try:
        listeners.warm_up(engine, 2)
    finally:
        engine.stop()
    assert runner.made == 2 * 5


class Playing:
    """An engine whose chunks of 0.4 s come after these waits, on a clock of its own."""

    sample_rate = 1000

    def __init__(self, waits: Sequence[float]) -> None:
        self.now = 100.0
        self.waits = waits

    def speak(self, _: object) -> Any:
        def chunks() -> Iterator[Chunk]:
            for wait in self.waits:
                self.now += wait
                yield Chunk(np.zeros(400, np.float32), 0)

        return chunks()

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("waits", "gap", "underruns"),
    [
        ([0.1, 0.0, 0.0, 0.0], 0.0, 0),
        ([0.1, 0.3, 0.3, 0.3], 0.3, 0),
        # The first chunk lasts for 0.4 s: what comes 0.6 s after it comes 0.2 s too late.
        ([0.1, 0.6, 0.0, 0.0], 0.6, 1),
        ([0.1, 0.6, 0.6], 0.6, 2),
    ],
)
def test_a_listener_tells_waits_from_underruns(
    monkeypatch: pytest.MonkeyPatch, waits: list[float], gap: float, underruns: int
) -> None:
    engine: Any = Playing(waits)
    clock = SimpleNamespace(perf_counter=lambda: engine.now, sleep=engine.sleep)
    monkeypatch.setattr(listeners, "time", clock)
    heard = listeners.listen(engine, listeners.utterance(1))
    assert heard.first == pytest.approx(0.1)
    assert heard.gap == pytest.approx(gap)
    assert heard.underruns == underruns


def test_a_listener_takes_no_more_than_a_player_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine: Any = Playing([0.0] * 10)
    clock = SimpleNamespace(perf_counter=lambda: engine.now, sleep=engine.sleep)
    monkeypatch.setattr(listeners, "time", clock)
    listeners.listen(engine, listeners.utterance(1))
    assert engine.now == pytest.approx(100 + 10 * 0.4 - listeners.LEAD)


def test_without_a_gpu_it_says_how_to_try_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main(["--part", "all", "--state", str(tmp_path)])
    assert "--device cpu --size tiny tries the script" in capsys.readouterr().err
