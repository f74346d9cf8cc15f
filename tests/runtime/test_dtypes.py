"""What ``VOXCPM_DTYPE`` and ``VOXCPM_CUDA_GRAPHS`` make the engine calculate in, and how."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from voxcpm_openai import Segment, Settings, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime import graphs, loader, memory
from voxcpm_openai.runtime.loader import load_model
from voxcpm_openai.runtime.model import linear

PLUGIN = Path(__file__).parents[2] / "plugins" / "voxcpm_engine.py"


@pytest.fixture(name="plugin")
def _plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("voxcpm_engine_under_test", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="folder")
def _folder(checkpoint: Callable[[str], Path]) -> str:
    return str(checkpoint("voxcpm15"))


@pytest.mark.parametrize(("wanted", "way"), [(True, "captured"), (False, graphs.eagerly)])
def test_a_gpu_replays_graphs_unless_told_not_to(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, wanted: bool, way: object
) -> None:
    monkeypatch.setattr(graphs, "CudaCapture", lambda _: "captured")
    monkeypatch.setattr(memory, "slots_that_fit", lambda _, length, most: most - length)
    on_gpu = SimpleNamespace(device=torch.device("cuda", 0))
    assert plugin._batch(on_gpu, 5, Settings(cuda_graphs=wanted)) == (64 - 5, way)
    on_cpu = SimpleNamespace(device=torch.device("cpu"))
    many = Settings(cuda_graphs=wanted, max_streams=256)
    assert plugin._batch(on_gpu, 5, many) == (256 - 5, way)
    assert plugin._batch(on_cpu, 5, Settings(cuda_graphs=wanted)) == (8, None)


def started(plugin: ModuleType, **settings: object) -> str:
    """The dtype of an engine that has spoken."""
    engine = plugin.start(Settings(device="cpu", threads=1, **settings))
    with closing(engine.speak(Utterance((Segment("the hello"),), Voice("", "")))) as stream:
        assert next(stream).samples.size
    dtype = engine.status()["runner"]["dtype"]
    engine.stop()
    return str(dtype)


def test_the_model_is_loaded_by_a_thread_that_ends(
    plugin: ModuleType, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []

    def load(*arguments: Any) -> object:
        seen.append(threading.current_thread())
        return load_model(*arguments)

    monkeypatch.setattr(loader, "load_model", load)
    started(plugin, model=folder)
    assert [thread.is_alive() for thread in seen] == [False]


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [("fpu avx512_bf16 sse", "bfloat16"), ("amx_bf16", "bfloat16"), ("avx512f bf16", "float32")],
)
def test_auto_is_bfloat16_where_the_cpu_multiplies_it(
    plugin: ModuleType, folder: str, flags: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", read_text_with(flags))
    assert started(plugin, model=folder) == dtype


def test_auto_is_float32_where_the_cpu_cannot_be_asked(
    plugin: ModuleType, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", read_text_with(None))
    assert started(plugin, model=folder) == "float32"


def test_a_dtype_that_is_asked_for_is_taken(plugin: ModuleType, folder: str) -> None:
    assert started(plugin, model=folder, dtype="float32") == "float32"


@pytest.mark.skipif(not linear.multiplies_int8(), reason="this CPU cannot")
def test_int8_speaks(plugin: ModuleType, folder: str) -> None:
    assert started(plugin, model=folder, dtype="int8") == "int8"


def test_int8_that_cannot_be_had_stops_the_start(
    plugin: ModuleType, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "multiplies_int8", lambda: False)
    with pytest.raises(StartError, match="VOXCPM_DTYPE=int8"):
        plugin.start(Settings(model=folder, device="cpu", threads=1, dtype="int8"))


def read_text_with(flags: str | None) -> Callable[..., str]:
    """``Path.read_text``, but for what it says of the processor."""
    real = Path.read_text

    def read_text(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if str(path) != "/proc/cpuinfo":
            return real(path, encoding, errors)
        if flags is None:
            raise FileNotFoundError
        return f"processor : 0\nflags\t\t: {flags}\n"

    return read_text
