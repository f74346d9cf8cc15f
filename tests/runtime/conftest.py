"""The runtime's tests: each module is skipped where a package that it needs itself is missing.

``pytest -rs`` names the packages.  Modules need what they import, tests what their fixtures need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.tools import skip

if TYPE_CHECKING:
    from tests.support.runtime.oracle import Oracle
    from voxcpm_openai.runtime.model.voxcpm import VoxCPM

ENGINE = ("torch", "safetensors", "tokenizers", "huggingface_hub")
"""What the voxcpm engine needs."""
UPSTREAM = ("transformers", "einops", "pydantic", "tqdm", "voxcpm")
"""What the package needs that our models are compared with."""
OPTIONAL = frozenset({*ENGINE, *UPSTREAM, "triton"})
WITHOUT_TORCH = find_spec("torch") is None
"""Whether this is the environment of the core, which needs none of these packages."""

if find_spec("triton") and find_spec("torch"):
    # Before anything else brings Triton, as transformers does.
    import tests.support.runtime.interpreted  # noqa: F401


class RuntimeModule(pytest.Module):
    """A module of tests; one that lacks an optional package is skipped."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Return the tests, or skip all of them and name what is missing."""
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            name = cause.name if isinstance(cause, ModuleNotFoundError) else None
            package = (name or "").partition(".")[0]
            if package not in OPTIONAL:
                raise
            skip(f"{self.path.name} needs the package {package}", in_ci=WITHOUT_TORCH)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Make the modules of this folder."""
    return RuntimeModule.from_parent(parent, path=module_path)


def require(*packages: str) -> None:
    """Skip a test that needs a package which is missing."""
    for package in packages:
        if find_spec(package) is None:
            skip(f"needs the package {package}", in_ci=WITHOUT_TORCH)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tiny products gain nothing from more."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random checkpoint of some kind."""
    require("torch", "safetensors", "tokenizers")
    from voxcpm_openai.testing import tiny_checkpoints as tiny

    root = tmp_path_factory.mktemp("checkpoints")
    return cache(lambda kind: tiny.make(root / kind, kind))


@pytest.fixture(scope="session")
def model(checkpoint: Callable[[str], Path]) -> Callable[[str], VoxCPM]:
    """Our model of some kind."""
    from voxcpm_openai.runtime.device.loader import load_model

    return cache(lambda kind: load_model(checkpoint(kind), "cpu", "float32"))


@pytest.fixture(scope="session")
def oracle(checkpoint: Callable[[str], Path]) -> Callable[[str], Oracle]:
    """Upstream's model of some kind, with the same weights."""
    require(*UPSTREAM)
    from tests.support.runtime.oracle import Oracle

    return cache(lambda kind: Oracle(checkpoint(kind), kind))
