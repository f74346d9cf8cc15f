"""Runs the trial of the execution paths in a process of its own; see ``trial_process``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from voxcpm_openai.runtime.device.execution_path import ExecutionPath, Verdict

SECONDS = 120.0
"""How long the process may take; most of it compiles kernels."""
TIMED_OUT = "its trial took longer than"
"""How the reason begins that says nothing of a path: kernels are compiled faster a second time."""
COMMAND = (sys.executable, "-m", "voxcpm_openai.runtime.trial.trial_process")


def run_trial(
    request: Mapping[str, object],
    paths: Sequence[ExecutionPath],
    *,
    seconds: float = SECONDS,
    command: Sequence[str] = COMMAND,
) -> dict[ExecutionPath, str | None]:
    """Return why each path is refused, or None.

    ``request``: ``config``, ``dtype`` and ``device``.  A path that the process did not come to is
    refused for what ended it.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the compilers that it starts end with it
    ) as process:
        try:
            output, errors = process.communicate(json.dumps({**request, "paths": paths}), seconds)
            ended = _ended(process.returncode, errors)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            ended = f"{TIMED_OUT} {seconds:g} s"
    known = dict(_verdicts(output))
    return {path: known.get(path, ended) for path in paths}


def _verdicts(output: str) -> Iterator[Verdict]:
    """Yield the verdicts that the process printed; libraries may print other lines."""
    for line in output.splitlines():
        try:
            found = json.loads(line)
            yield ExecutionPath(*found["path"]), found["reason"]
        except (ValueError, TypeError, KeyError):
            continue


def _ended(status: int, errors: str) -> str:
    """Return how the process of a trial ended, in words."""
    if status < 0:
        return f"its trial was ended by {signal.Signals(-status).name}"
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no message")
    return f"its trial failed: {last.strip()}"
