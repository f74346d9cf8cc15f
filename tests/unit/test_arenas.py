"""How much of the allocator's memory threads keep for themselves."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ctypes, re, tempfile, threading
from voxcpm_openai.server.arenas import limit_arenas
if {limited}:
    limit_arenas()
libc = ctypes.CDLL(None)
libc.fdopen.restype = libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(40)
def use():
    together.wait()
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=use) for _ in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with tempfile.TemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fdopen(file.fileno(), b"w"))
    libc.malloc_info(0, stream)
    libc.fflush(stream)
    file.seek(0)
    print(len(re.findall(b"<heap ", file.read())))
"""


def arenas(*, limited: bool) -> int:
    program = PROGRAM.format(limited=limited)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def test_forty_threads_share_a_few_arenas() -> None:
    few = arenas(limited=True)
    assert few < arenas(limited=False)
