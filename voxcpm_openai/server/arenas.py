"""A bound on the arenas of glibc's allocator.

glibc gives threads arenas of their own, up to eight a core, and each keeps what its threads once
needed.  Requests are handled by many threads, so that the memory of a worker would creep up for
hours without a leak.
"""

from __future__ import annotations

import ctypes
import os

from voxcpm_openai import cores

LEAST = 2
"""Arenas on a machine with one core."""

_M_ARENA_MAX = -8  # <malloc.h>


def limit_arenas() -> None:
    """Let new threads share as many arenas as there are cores, at least two.

    Does nothing with other allocators.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, max(LEAST, cores.available()))
