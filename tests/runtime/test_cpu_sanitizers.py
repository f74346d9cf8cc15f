"""The operators in C++ under the address and the undefined behaviour sanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.runtime.cpp import FLAGS, SANITIZERS
from tests.support.tools import skip
from voxcpm_openai.runtime.model.cpu import build


def runtime_of_the_sanitizer(compiler: str) -> str:
    """Return the library that must be loaded first, or skip the test; in CI fail it."""
    asked = [compiler, "-print-file-name=libasan.so"]
    path = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not Path(path).is_absolute():
        skip("the compiler has no address sanitizer of GCC's")
    return path


def test_the_operators_touch_only_their_own_memory() -> None:
    compiler = build.compiler()
    if compiler is None:
        skip("there is no C++ compiler")
    environment = {
        **os.environ,
        FLAGS: SANITIZERS,
        "LD_PRELOAD": runtime_of_the_sanitizer(compiler),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:xdist", "-p", "no:cacheprovider", "-rs",
         "tests/runtime/test_cpu_operators.py"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
