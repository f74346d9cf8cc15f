"""The effect of ``VOXCPM_DTYPE`` on the voxcpm engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.runtime.cpu import needs_int8
from tests.support.runtime.utterances import settings_of
from tests.support.stock import load_plugin
from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import cpu_dtype, loader
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.model import linear
from voxcpm_openai.runtime.trial.path_selection import PathSelection

plugin: Any = load_plugin("voxcpm_engine")


@pytest.fixture(name="folder")
def _folder(checkpoint: Callable[[str], Path]) -> str:
    return str(checkpoint("voxcpm15"))


def dtype_of_engine(folder: str, dtype: str = "auto") -> str:
    """Start an engine, synthesize with it, and return its dtype."""
    engine = plugin.start(settings_of(folder, dtype=dtype))
    with closing(engine.synthesize(Utterance((Segment("the hello"),), Voice("", "")))) as stream:
        assert next(stream).samples.size
    used = engine.status().details["runner"]["dtype"]
    engine.stop()
    return str(used)


def test_the_model_is_loaded_in_a_thread_that_ends(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def load(*arguments: Any, **options: Any) -> object:
        threads.append(threading.current_thread())
        return load_model(*arguments, **options)

    monkeypatch.setattr(loader, "load_model", load)
    dtype_of_engine(folder)
    assert [thread.is_alive() for thread in threads] == [False]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_auto_is_the_fastest_dtype_of_the_cpu(
    folder: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_dtype, "fastest", lambda *_: dtype)
    assert dtype_of_engine(folder) == dtype


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), "float32"), ((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_auto_is_bfloat16_on_a_gpu_that_multiplies_it(
    folder: str, capability: tuple[int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, str]] = []

    def stop(_: Path, device: str, dtype: str, **__: object) -> None:
        loaded.append((device, dtype))
        raise StartError("enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(PathSelection, "try_apart", lambda *_: None)
    monkeypatch.setattr(loader, "load_model", stop)
    with pytest.raises(StartError, match="enough"):
        plugin.start(settings_of(folder, device="auto"))
    assert loaded == [("cuda", dtype)]


def test_an_explicit_dtype_is_used(folder: str) -> None:
    assert dtype_of_engine(folder, "float32") == "float32"


@needs_int8
def test_int8_synthesizes(folder: str) -> None:
    assert dtype_of_engine(folder, "int8") == "int8"


def test_unsupported_int8_is_a_start_error(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "multiplies_int8", lambda: False)
    with pytest.raises(StartError, match="VOXCPM_DTYPE=int8"):
        plugin.start(settings_of(folder, dtype="int8"))
