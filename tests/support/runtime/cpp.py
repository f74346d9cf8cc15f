"""The operators in C++ for the tests, compiled once for all processes of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.tools import skip
from voxcpm_openai.runtime.device.cpu_operators import isa
from voxcpm_openai.runtime.model.cpu import build
from voxcpm_openai.runtime.model.cpu.cpu_ops import CpuOps

FLAGS = "VOXCPM_TEST_CPP_FLAGS"
"""An environment variable: more flags for the compiler, in the tests under sanitizers."""
SANITIZERS = "-g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"


def cpp_ops(factory: pytest.TempPathFactory, kind: str | None = None) -> CpuOps:
    """Return the operators for this processor or another ISA, or skip the test."""
    own = isa()
    if kind == "AVX512" and own != "AVX512":
        skip("the processor lacks AVX-512", in_ci=True)
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    try:
        flags = tuple(os.environ.get(FLAGS, "").split())
        return CpuOps(build.load(Path(root) / "cpp", kind or own, flags=flags))
    except build.NotBuilt as error:
        skip(f"the operators cannot be compiled: {error}")
