"""The runtime's tests need torch, and upstream to compare with; without them they are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.oracle import Oracle
    from voxcpm_openai.runtime.model.voxcpm import VoxCPM

NEEDED = ("torch", "safetensors", "tokenizers", "transformers", "einops", "pydantic", "voxcpm")

if not all(find_spec(name) for name in NEEDED):
    collect_ignore_glob = ["test_*.py"]
elif find_spec("triton"):
    # Before anything else brings Triton, as transformers does.
    import tests.runtime.interpreted  # noqa: F401
else:
    collect_ignore_glob = ["test_kernels*.py"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tiny products gain nothing from more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random checkpoint of some kind."""
    from tests.runtime import tiny

    root = tmp_path_factory.mktemp("checkpoints")
    return cache(lambda kind: tiny.make(root / kind, kind))


@pytest.fixture(scope="session")
def model(checkpoint: Callable[[str], Path]) -> Callable[[str], VoxCPM]:
    """Our model of some kind."""
    from voxcpm_openai.runtime.loader import load_model

    return cache(lambda kind: load_model(checkpoint(kind), "cpu", "float32"))


@pytest.fixture(scope="session")
def oracle(checkpoint: Callable[[str], Path]) -> Callable[[str], Oracle]:
    """Upstream's model of some kind, with the same weights."""
    from tests.runtime.oracle import Oracle

    return cache(lambda kind: Oracle(checkpoint(kind), kind))
