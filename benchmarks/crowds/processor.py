"""Who had the processor: CPU seconds of a process's threads, from Linux's ``/proc``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def threads(process: int) -> Mapping[int, float]:
    """Return the CPU seconds of each thread that lives."""
    spent = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            ran, _, _ = (task / "schedstat").read_text().split()
        except OSError:  # it has just ended
            continue
        spent[int(task.name)] = int(ran) / 1e9
    return spent


def by_role(
    process: int, engine: int, before: Mapping[int, float], after: Mapping[int, float]
) -> Mapping[str, float]:
    """Return the CPU seconds between two looks: engine, main thread, requests."""
    roles = {"engine": 0.0, "main": 0.0, "requests": 0.0}
    for thread, seconds in after.items():
        role = {engine: "engine", process: "main"}.get(thread, "requests")
        roles[role] += seconds - before.get(thread, 0.0)
    return roles
