"""Where a package is missing, only those tests of the runtime are left out that need it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.runtime.conftest import require

ROOT = Path(__file__).parent.parent.parent
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


def collected(package: str) -> tuple[set[str], set[str]]:
    """Return the modules that are collected and those that are skipped without a package."""
    done = subprocess.run(
        [sys.executable, "-c", HIDING, package],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    needs = f" needs the package {package}"
    skipped = {line.split()[-5] for line in lines if line.endswith(needs)}
    kept = set(re.findall(r"^tests/runtime/(\w+\.py):", done.stdout, re.MULTILINE))
    return kept, skipped


def test_without_torch_all_that_imports_it_is_skipped_by_name() -> None:
    kept, skipped = collected("torch")
    assert {"test_cuda_graphs.py", "test_noise.py", "test_parity.py", "test_kernels.py"} <= skipped
    assert "test_added_voices.py" in kept
    assert not kept & skipped


def test_without_the_upstream_package_only_the_comparisons_with_it_are_skipped() -> None:
    require("torch")
    kept, skipped = collected("voxcpm")
    assert {"test_parity.py", "test_vae.py", "test_tokenizer.py"} <= skipped
    assert {"test_cuda_graphs.py", "test_noise.py", "test_runner.py"} <= kept
