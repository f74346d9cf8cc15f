"""The ways to run a step: what the server's own trial chooses, beside what was predicted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.gpu.bench import Bench, Task
from benchmarks.lib.report import Row
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.execution_path import ExecutionPath, allowed_paths
from voxcpm_openai.runtime.device.loader import make_ops
from voxcpm_openai.runtime.trial.path_choice import choose_path
from voxcpm_openai.runtime.trial.path_trial import PathRefused, PathTrial
from voxcpm_openai.runtime.trial.speech_check import ROWS, STEPS
from voxcpm_openai.testing.prediction import predicted


def tasks(bench: Bench) -> Iterator[Task]:
    for model in bench.scale.models:
        for path in allowed_paths("auto", "auto"):
            for rows in ROWS:
                label = f"{model}, {path}, {rows} rows"
                yield Task(label, partial(measure, bench, model, path, rows), early=True)
        yield Task(f"{model}, the choice", partial(choose, bench, model), early=True)


def measure(bench: Bench, model: str, path: ExecutionPath, rows: int) -> Row:
    """Check a path and time its steps, or say why it is refused."""
    try:
        run, error = trial_of(bench, model).check(path)
        return described(bench, model, path, rows, run.step_ms(rows), error, "right")
    except PathRefused as refused:
        return described(bench, model, path, rows, None, None, str(refused))
    finally:
        bench.restore(model)


def choose(bench: Bench, model: str) -> Row:
    """Choose as the server does at its start; the milliseconds are those of the most rows."""
    try:
        found = choose_path(trial_of(bench, model), allowed_paths("auto", "auto"), {})
    finally:
        bench.restore(model)
    rows = max(ROWS)
    milliseconds = found.milliseconds[rows]
    return described(bench, model, found.path, rows, milliseconds, found.error, "chosen")


def described(
    bench: Bench, model: str, path: ExecutionPath, rows: int, milliseconds: float | None,
    error: float | None, verdict: str,
) -> Row:  # fmt: skip
    loaded = bench.model(model)
    evaluations = len(loaded.flow.schedule(STEPS).step_sizes)
    return {
        **bench.row(model),
        "path": str(path),
        "rows": rows,
        **predicted(loaded.config, loaded.dtype, path, rows, evaluations),
        "step_ms": milliseconds,
        "error": error,
        "verdict": verdict,
    }


def trial_of(bench: Bench, model: str) -> PathTrial:
    """Return a trial of the model; on a CPU its graphs are the stages themselves."""
    return PathTrial(
        bench.model(model),
        lambda kernels: make_ops(kernels, bench.device),
        lambda: bench.capture() or enforce_eager,
    )
