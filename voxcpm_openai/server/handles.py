"""The file handles of a process: as many as its settings need, or fewer connections."""

from __future__ import annotations

import resource

from voxcpm_openai.errors import StartError

OTHERS = 256
"""Handles of libraries, logs, models and the event loop."""
FILES = 2
"""Temporary files of a request that is handled: its body, and what its client has not taken."""


def connections(wanted: int, threads: int) -> int:
    """Return how many connections the file handles allow, and raise their soft limit to that.

    Raises StartError if not even one connection a thread is possible.
    """
    fixed = OTHERS + FILES * threads
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + fixed if hard == resource.RLIM_INFINITY else min(wanted + fixed, hard)
    if most - fixed < threads:
        raise StartError(
            f"this process may open {hard} files and needs {fixed + threads} for {threads} "
            "threads. Raise the limit (ulimit -n, LimitNOFILE=), or lower VOXCPM_MAX_STREAMS."
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return min(wanted, most - fixed)
