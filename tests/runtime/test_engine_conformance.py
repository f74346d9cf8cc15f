"""The VoxCPM engines fulfil the contract of engines, with tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.runtime.conftest import require
from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import load_settings
from voxcpm_openai.testing.conformance import check_engine
from voxcpm_openai.testing.tiny_checkpoints import KINDS


@pytest.fixture(autouse=True)
def _same_number_of_threads() -> Iterator[None]:
    """Restore the number of torch's threads, which the engines set."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "kind"), [*(("voxcpm", kind) for kind in KINDS), ("upstream", "voxcpm05b")]
)
def test_an_engine_fulfils_the_contract(
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: str,
) -> None:
    if name == "upstream":
        require("voxcpm")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = load_settings(
        {
            "VOXCPM_ENGINE": name,
            "VOXCPM_MODEL": str(checkpoint(kind)),
            "VOXCPM_DEVICE": "cpu",
            "VOXCPM_DTYPE": "float32",
            "VOXCPM_THREADS": "1",
        }
    )
    engine = load_registry(settings).engines[name].start(settings)
    engine.name = name
    check_engine(engine)
