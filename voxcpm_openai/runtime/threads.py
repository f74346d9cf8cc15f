"""Torch work outside the engine's thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
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
    thread = threading.Thread(target=settle, args=(result, work), name="voxcpm-torch", daemon=True)
    thread.start()
    thread.join()
    return result.result()


class LastingThread:
    """A thread that runs one piece of work after the other, as long as this object lives.

    On a GPU libraries keep plans and workspaces for each thread, which a fresh one makes anew.  The
    thread starts with the first work and is a daemon, as above.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        weakref.finalize(self, self._work.put, None).atexit = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` after what other threads gave before; return or raise what it does."""
        result: Future[T] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_run, args=(self._work,), name=self._name, daemon=True
                )
                self._thread.start()
        self._work.put(lambda: settle(result, work))
        return result.result()


def _run(works: SimpleQueue[Callable[[], None] | None]) -> None:
    """Run each work until there is a None."""
    while (work := works.get()) is not None:
        work()
        del work  # what it refers to must not live until the next one


def settle(result: Future[T], work: Callable[[], T]) -> None:
    """Give a future what ``work`` returns or raises, for the thread that waits for it."""
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
        result.set_exception(error)
