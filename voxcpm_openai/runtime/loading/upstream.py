"""Loads the ``voxcpm`` package, also where torchaudio and librosa are missing.

The ``upstream`` engine runs it, and the tests compare our own model with it.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxcpm_openai.contracts import Samples


def load(folder: Path, device: str, dtype: str, threads: int) -> Any:
    """Return the package's model of a checkpoint, a ``VoxCPMModel`` or a ``VoxCPM2Model``.

    ``device``: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.  ``dtype``: ``auto`` (the checkpoint's),
    ``float32`` or ``bfloat16``.  The package warms its model up with a sentence; on CUDA that
    captures graphs, which belong to the calling thread.
    """
    torch.set_num_threads(threads)
    install_stubs()
    with warnings.catch_warnings(), _with_dtype(folder, dtype) as path:
        warnings.simplefilter("ignore")  # they concern the package's own dependencies
        from voxcpm import VoxCPM

        for name in ("voxcpm", "voxcpm2"):  # no progress bars in the log
            vars(importlib.import_module(f"voxcpm.model.{name}"))["tqdm"] = iter
        return VoxCPM(str(path), enable_denoiser=False, device=device).tts_model


@contextmanager
def _with_dtype(folder: Path, dtype: str) -> Iterator[Path]:
    """Yield the checkpoint with this dtype in its configuration, where the package reads it."""
    if dtype == "auto":
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        for file in folder.iterdir():
            (Path(name) / file.name).symlink_to(file.resolve())
        config = Path(name) / "config.json"
        content = json.loads(config.read_text(encoding="utf-8"))
        config.unlink()  # the link, not the file
        config.write_text(json.dumps({**content, "dtype": dtype}), encoding="utf-8")
        yield Path(name)


def install_stubs() -> None:
    """Install stub modules for torchaudio and librosa if these cannot be imported.

    The package only reads clips with them; CPU builds of torch have no matching torchaudio.  The
    stubs read a clip as our own runtime does, so that both get the same samples.
    """
    for name, contents in (
        ("torchaudio", {"load": _load, "functional": SimpleNamespace(resample=_resample)}),
        ("librosa", {"load": _load_at}),
    ):
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError):  # the last two: another build of torch
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)  # transformers asks for it
            vars(module).update(contents)
            sys.modules[name] = module


def _load(path: str) -> tuple[Tensor, int]:
    """Replace ``torchaudio.load``: return samples ``[channels, N]`` and their rate."""
    import soundfile  # late, as the resampler: without clips the package needs neither

    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)  # (N, channels)
    return torch.from_numpy(np.ascontiguousarray(audio.T)), rate  # [channels, N]


def _resample(audio: Tensor, rate: int, new_rate: int) -> Tensor:
    """Replace ``torchaudio.functional.resample`` of ``[1, N]``."""
    from voxcpm_openai.audio import Resampler

    resampler = Resampler(rate, new_rate)
    samples = np.concatenate([resampler.feed(audio[0].numpy()), resampler.finish()])
    return torch.from_numpy(samples)[None]  # [1, N']


def _load_at(path: str, sr: int, mono: bool) -> tuple[Samples, int]:
    """Replace ``librosa.load``: return samples ``(N,)`` at the rate ``sr``, and ``sr``."""
    from voxcpm_openai.audio import read_clip

    assert mono
    return read_clip(Path(path), sr), sr
