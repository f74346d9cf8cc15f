"""The file handles of a process: as many as its settings need, or fewer connections."""

from __future__ import annotations

import resource

from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import Settings

SPARE_THREADS = 16
"""Threads beyond the streams, so that listings and uploads go on beside all streams."""
OTHERS = 256
"""Handles of libraries, logs, models and the event loop."""
FILES = 2
"""Temporary files of a request that is handled: its body, and what its client has not taken."""


def threads(settings: Settings) -> int:
    """Return the threads of a worker: one a stream, and some for everything else."""
    return settings.max_streams + SPARE_THREADS


def connections(settings: Settings) -> int:
    """Return how many connections the file handles allow, and raise their soft limit to that.

    Raises StartError if not even one connection a thread is possible.
    """
    fixed = OTHERS + FILES * threads(settings)
    wanted = settings.max_connections + fixed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if most - fixed < threads(settings):
        raise StartError(
            f"this process may open {hard} files and needs {fixed + threads(settings)}. Raise the "
            "limit (ulimit -n, LimitNOFILE=), or lower VOXCPM_MAX_STREAMS."
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return min(settings.max_connections, most - fixed)
