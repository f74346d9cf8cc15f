"""The cores that this process may use, and how busy they are.

``os.cpu_count()`` counts the machine's cores.  A process may be bound to some of them (affinity),
and a container may have a quota of processor time: more threads than that only hold each other up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
CGROUPS = {  # by version: where they are mounted, and the files with the quota and its period
    2: (("sys/fs/cgroup", "sys/fs/cgroup/unified"), ("cpu.max",)),
    1: (
        ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"),
        ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
    ),
}
BUSY_FIELDS = (0, 1, 2, 5, 6)
"""Columns of ``/proc/stat`` that count work: user, nice, system, and interrupts of both kinds."""


def bound_to() -> frozenset[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def available(root: Path = ROOT) -> int:
    """Return how many threads can run at once: by affinity and the container's quota, at least 1.

    A part of a core does not count.  ``root``: where ``/proc`` and ``/sys`` are.
    """
    return max(1, min([len(bound_to()), *(int(quota) for quota in _quotas(root))]))


def busy_seconds(root: Path = ROOT) -> float | None:
    """Return how long the cores of ``bound_to`` have worked since the machine's start, in all.

    For all processes, in steps of 10 ms.  None where the system does not say so.
    """
    allowed = bound_to()
    try:
        lines = (root / "proc/stat").read_text(encoding="utf-8").splitlines()
        ticks = [
            sum(int(fields[place]) for place in BUSY_FIELDS)
            for name, *fields in map(str.split, lines)
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in allowed
        ]
    except (OSError, ValueError, IndexError):  # not Linux, or not as Linux writes it
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of this process's groups and of those around them, in cores."""
    for version, group in _groups(root):
        places, files = CGROUPS[version]
        # In a container the path may be that of the host, of which only the end is mounted.
        paths = [group, *group.parents]
        for folder in {root / place / path for place in places for path in paths}:
            try:
                words = " ".join((folder / file).read_text(encoding="ascii") for file in files)
                quota, period = map(int, words.split())
            except (OSError, ValueError):  # no such group, or "max"
                continue
            if quota > 0 and period > 0:
                yield quota / period


def _groups(root: Path) -> Iterator[tuple[int, PurePosixPath]]:
    """Yield the version and the path, relative to its mount, of each group that may limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        if number == "0" and not controllers:
            yield 2, PurePosixPath(*parts)
        elif "cpu" in controllers.split(","):
            yield 1, PurePosixPath(*parts)
