"""The cores available to this process, and their load.

``os.cpu_count()`` counts the machine's cores.  A process may have a smaller CPU affinity mask, and
a container a cgroup CPU quota; more threads than that oversubscribe the cores.
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
    """Return the cores that affinity and cgroup quotas leave, rounded down, at least 1.

    ``root``: where ``/proc`` and ``/sys`` are.
    """
    return max(1, min([len(bound_to()), *(int(quota) for quota in _quotas(root))]))


def busy_seconds(root: Path = ROOT) -> float | None:
    """Return the total busy time of the cores of ``bound_to`` since boot, in seconds.

    Counts all processes, in steps of 10 ms.  None if it cannot be read.
    """
    allowed = bound_to()
    try:
        lines = (root / "proc/stat").read_text(encoding="utf-8").splitlines()
        ticks = [
            sum(int(fields[place]) for place in BUSY_FIELDS)
            for name, *fields in map(str.split, lines)
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in allowed
        ]
    except (OSError, ValueError, IndexError):  # not Linux, or malformed
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of this process's cgroups and their ancestors, in cores."""
    for version, group in _groups(root):
        places, files = CGROUPS[version]
        # In a container the path may be the host's, of which only a suffix is mounted.
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
    """Yield the version and relative path of each cgroup that may have a quota."""
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
