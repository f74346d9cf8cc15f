"""What a process holds, as Linux counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """``memory``: resident, in bytes."""

    memory: int
    threads: int
    handles: int
    children: int


def usage(process: int) -> Usage:
    """Read the figures of a process.  Raises OSError when it has ended."""
    folder = Path("/proc") / str(process)
    lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    status = {name: value.split() for name, _, value in lines}
    children = 0
    for task in (folder / "task").iterdir():
        try:
            children += len((task / "children").read_text().split())
        except FileNotFoundError:  # a thread that has just ended
            continue
    return Usage(
        memory=int(status["VmRSS"][0]) * 1024,
        threads=int(status["Threads"][0]),
        handles=len(list((folder / "fd").iterdir())),
        children=children,
    )
