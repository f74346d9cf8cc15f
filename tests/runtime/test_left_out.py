"""Where a package is missing, only those tests of the runtime are left out that need it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.runtime.conftest import require
from tests.support import ROOT

HIDING = """
import sys
from importlib.machinery import PathFinder

package, found = sys.argv[1], PathFinder.find_spec

@classmethod
def find_spec(_, name, path=None, target=None):
    return None if name.partition(".")[0] == package else found(name, path, target)

PathFinder.find_spec = find_spec

import pytest

sys.exit(pytest.main(["--collect-only", "-q", "-rs", "-p", "no:cacheprovider", "tests/runtime"]))
"""


def collect(package: str, *, in_ci: bool) -> subprocess.CompletedProcess[str]:
    """Collect the tests where a package is missing, in CI or on a user's machine."""
    user = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-c", HIDING, package],
        cwd=ROOT,
        env={**user, "CI": "true"} if in_ci else user,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def collected(package: str, *, in_ci: bool = False) -> tuple[set[str], set[str]]:
    """Return the modules that are collected and those that are skipped without a package."""
    done = collect(package, in_ci=in_ci)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    needs = f" needs the package {package}"
    skipped = {line.split()[-5] for line in lines if line.endswith(needs)}
    kept = set(re.findall(r"^tests/runtime/(\w+\.py):", done.stdout, re.MULTILINE))
    return kept, skipped


@pytest.mark.parametrize("in_ci", [False, True])
def test_without_torch_all_that_imports_it_is_skipped_by_name(in_ci: bool) -> None:
    kept, skipped = collected("torch", in_ci=in_ci)
    assert {"test_cuda_graphs.py", "test_noise.py", "test_parity.py", "test_kernels.py"} <= skipped
    assert "test_added_voices.py" in kept
    assert not kept & skipped


def test_without_the_upstream_package_only_the_comparisons_with_it_are_skipped() -> None:
    require("torch")
    kept, skipped = collected("voxcpm")
    assert {"test_parity.py", "test_vae.py", "test_tokenizer.py"} <= skipped
    assert {"test_cuda_graphs.py", "test_noise.py", "test_runner.py"} <= kept


def test_with_torch_but_without_the_upstream_package_ci_fails() -> None:
    require("torch")
    done = collect("voxcpm", in_ci=True)
    assert done.returncode != 0
    assert "Failed: test_parity.py needs the package voxcpm" in done.stdout
