"""Compiles the C++ operators with the machine's compiler, once, and keeps the result.

The library is for one kind of processor, AVX2 or AVX-512.  It needs no header of PyTorch, only the
OpenMP runtime that PyTorch has loaded; so this module imports neither.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxcpm_openai.files import replaced

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = ("transformer.cpp", "vae.cpp")
HEADERS = ("vectors.h",)
FLAGS = (
    "-std=c++17", "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-fopenmp-simd",
    # Neither lets it assume that numbers are finite.
    "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip
ISAS = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": ("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl",
               "-mprefer-vector-width=512"),
}  # fmt: skip
"""The names that PyTorch has for what a processor can do, and what a compiler is told."""
COMPILERS = ("g++", "c++", "clang++")
SECONDS = 120.0
"""How long the compiler may take; it takes some five."""
DIGEST_BYTES = 32
GAIN = 1.4
"""About so much faster a step is with the operators in C++."""


class NotBuilt(Exception):
    """There is no library; the message says why."""


def load(folder: Path, isa: str, *, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return the library, compiled if ``folder`` has none that is whole.

    ``isa``: one of ``ISAS``, else there is none; ``flags``: more of them for the compiler.  Where
    the folder cannot be used the library is compiled at every start.  PyTorch must be loaded.
    Raises NotBuilt.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or isa not in ISAS:
        raise NotBuilt("they are written for Linux on x86-64 processors with AVX2")
    flags = (*FLAGS, *ISAS[isa], *flags)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{_key(flags)}.so"
        _refuse_others(folder)
        if not _is_whole(path):
            with _locked(path.with_suffix(".lock")):
                if not _is_whole(path):  # another process may have compiled it meanwhile
                    _compile(path, flags)
        return _opened(path)
    except OSError as error:
        logger.info("the CPU's operators are compiled at every start: %s", error)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "operators.so"
        _compile(path, flags)
        return _opened(path)


def missing(folder: Path) -> str | None:
    """Return what a library cannot be compiled without, or None if there is one or it can."""
    if compiler() is None and not any(folder.glob("*.so")):
        return f"a C++ compiler: {', '.join(COMPILERS)}, or CXX"
    return None


def compiler() -> str | None:
    """Return the path of the C++ compiler: ``CXX``, or the first that is found."""
    own = os.environ.get("CXX")
    found = (shutil.which(name) for name in ((own,) if own else COMPILERS))
    return next(filter(None, found), None)


def _key(flags: tuple[str, ...]) -> str:
    """Return a name for what the library is made of.

    Not of the compiler: a library that is there must serve where none is installed.
    """
    digest = hashlib.sha256(" ".join(flags).encode())
    for name in (*HEADERS, *SOURCES):
        digest.update((FOLDER / name).read_bytes())
    return digest.hexdigest()[:32]


def _refuse_others(folder: Path) -> None:
    """Raise OSError if somebody else may write there: what is loaded runs as we do."""
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written by others")


def _is_whole(path: Path) -> bool:
    """Return whether the file is there and ends with the digest of the rest.

    A library that was cut short would end the process when it is loaded.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    digest = hashlib.sha256(content[:-DIGEST_BYTES]).digest()
    return content[-DIGEST_BYTES:] == digest


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process in at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(path: Path, flags: tuple[str, ...]) -> None:
    """Compile to ``path``, which is replaced at once.  Raises NotBuilt, OSError for the file."""
    program = compiler()
    if program is None:
        raise NotBuilt(f"there is no C++ compiler: {', '.join(COMPILERS)}, or CXX")
    with replaced(path) as made:
        sources = [str(FOLDER / source) for source in SOURCES]
        _run([program, *flags, *sources, "-o", str(made)])
        content = made.read_bytes()
        made.write_bytes(content + hashlib.sha256(content).digest())


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"{command[0]} failed: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise NotBuilt(f"{command[0]} failed: {lines[0]}")


def _opened(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:  # the OpenMP runtime has other names, for instance
        raise NotBuilt(f"{path} cannot be loaded: {error}") from error
