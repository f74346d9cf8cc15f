"""Other programs that keep cores busy beside a benchmark."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

WORK = "print(flush=True)\nwhile True:\n    pass\n"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run ``count`` processes in the block that each use all of a core that they get."""
    with ExitStack() as stack:
        for _ in range(count):
            command = [sys.executable, "-c", WORK]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()  # it works from here on
        yield
