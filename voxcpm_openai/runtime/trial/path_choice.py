"""Chooses the execution path of a loaded model: the fastest one that is right."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device.execution_path import ExecutionPath, PathReport
from voxcpm_openai.runtime.trial.path_trial import PathRefused, PathTrial
from voxcpm_openai.runtime.trial.speech_check import ROWS

logger = logging.getLogger(__name__)

SECONDS = 20.0
"""How long paths are tried, once kernels are compiled."""
GAIN = 0.05
"""By how much a step must be faster than on a path with fewer risks, in the mean of ``ROWS``."""

Trying = Callable[[ExecutionPath], AbstractContextManager[None]]
"""Marks a path as being tried; see ``TrialRecord.trying``."""


def choose_path(
    trial: PathTrial,
    paths: Sequence[ExecutionPath],
    refused: Mapping[ExecutionPath, str],
    *,
    trying: Trying = lambda _: nullcontext(),
    clock: Callable[[], float] = time.perf_counter,
) -> PathReport:
    """Return the fastest of ``paths`` that is right; those with fewer risks come first.

    ``refused``: those that must not be tried.  Raises StartError if no path is right, and
    DeviceError if the device is lost.  The model has the operators of the chosen path then.
    """
    reasons = dict(refused)
    open_paths = [path for path in paths if path not in refused]
    for kernels in dict.fromkeys(path.kernels for path in open_paths):
        trial.compile(kernels)
    deadline = clock() + SECONDS
    best: PathReport | None = None
    for path in open_paths:
        if best is not None and clock() > deadline:
            reasons[path] = f"there was no time to try it within {SECONDS:.0f} s"
            continue
        try:
            with trying(path):
                error, times = trial.measure(path, clock)
        except PathRefused as refusal:
            reasons[path] = str(refusal)
            continue
        found = PathReport(path, tried=True, milliseconds=times, error=error)
        if best is None or _ratio(found, best) <= 1 - GAIN:
            best, slower = found, best
        else:
            slower = found
        if slower is not None:
            reasons[slower.path] = f"it is slower, or not faster by {GAIN:.0%}: {slower}"
    if best is None:
        told = "; ".join(f"{path}: {reason}" for path, reason in reasons.items())
        raise StartError(
            f"No allowed way to run the steps is right. {told}. Set VOXCPM_KERNELS and "
            "VOXCPM_CUDA_GRAPHS to auto."
        )
    trial.select(best.path)
    return PathReport(best.path, True, best.milliseconds, best.error, reasons)


def _ratio(report: PathReport, other: PathReport) -> float:
    """Return the time of a step relative to another path's, in the mean of ``ROWS``."""
    times, others = report.milliseconds, other.milliseconds
    return sum(times[rows] / others[rows] for rows in ROWS) / len(ROWS)
