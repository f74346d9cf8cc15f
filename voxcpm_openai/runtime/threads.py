"""Torch work outside the engine's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def run_in_fresh_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread that ends with it; return its result or raise its exception.

    On a CPU every thread that has run a parallel torch operator keeps an OpenMP thread pool.  With
    more pool threads than cores, GNU OpenMP stops spinning between operators, and a step takes
    twice as long.  So any long-lived thread other than the engine's runs its torch work in a
    thread that ends.  The thread is a daemon: a process that exits does not wait for it.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as error:  # noqa: BLE001  (raised again in the caller's thread)
            result.set_exception(error)

    thread = threading.Thread(target=run, name="voxcpm-torch", daemon=True)
    thread.start()
    thread.join()
    return result.result()
