"""Torch's work outside the engine's thread, in a thread that ends with it.

On a CPU each thread in which torch ever divided its work keeps a team of threads of its own (GNU's
OpenMP).  As soon as there are more of them in a process than cores, all of them sleep between two
operators instead of looking out for the next one, and a step takes twice as long.  So whatever is
not the engine's thread, and lives on, leaves such work to one that does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises; its thread is gone then.

    A process that is to end does not wait for it.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as error:  # noqa: BLE001  (raised again where it was asked for)
            result.set_exception(error)

    thread = threading.Thread(target=run, name="voxcpm-aside", daemon=True)
    thread.start()
    thread.join()
    return result.result()
