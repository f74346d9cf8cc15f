"""The ``voxcpm`` package as it is, made to load where two of its own packages are missing.

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
from voxcpm_openai.runtime.prompts import read_clip


def load(folder: Path, device: str, dtype: str, threads: int) -> Any:
    """Return the package's model of a checkpoint, a ``VoxCPMModel`` or a ``VoxCPM2Model``.

    ``device``: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.  ``dtype``: ``auto`` (what the checkpoint
    says), ``float32`` or ``bfloat16``.  The package warms its model up with a sentence; on CUDA
    that makes graphs, which belong to the thread that called this.
    """
    torch.set_num_threads(threads)
    stand_in()
    with warnings.catch_warnings(), _with_dtype(folder, dtype) as path:
        warnings.simplefilter("ignore")  # of what the package uses: nobody here can change it
        from voxcpm import VoxCPM

        for name in ("voxcpm", "voxcpm2"):  # no progress bar for each sentence in a server's log
            vars(importlib.import_module(f"voxcpm.model.{name}"))["tqdm"] = iter
        return VoxCPM(str(path), enable_denoiser=False, device=device).tts_model


@contextmanager
def _with_dtype(folder: Path, dtype: str) -> Iterator[Path]:
    """Give the checkpoint with this dtype in its configuration: the package looks nowhere else."""
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


def stand_in() -> None:
    """Put modules in the place of torchaudio and librosa where these cannot be imported.

    The package reads clips with them, and does nothing else; a CPU build of torch has no torchaudio
    that fits it.  The stand-ins read a clip as our own runtime does, so that both hear the same.
    """
    for name, contents in (
        ("torchaudio", {"load": _load, "functional": SimpleNamespace(resample=_resample)}),
        ("librosa", {"load": _load_at}),
    ):
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError):  # the last two: built for another torch
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)  # transformers asks for it
            vars(module).update(contents)
            sys.modules[name] = module


def _load(path: str) -> tuple[Tensor, int]:
    """``torchaudio.load``: the samples ``[channels, N]`` of a file, and their rate."""
    import soundfile  # late, as the resampler: without clips the package does without both

    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)  # (N, channels)
    return torch.from_numpy(np.ascontiguousarray(sound.T)), rate  # [channels, N]


def _resample(sound: Tensor, rate: int, wanted: int) -> Tensor:
    """``torchaudio.functional.resample`` of ``[1, N]``."""
    from voxcpm_openai.audio import Resampler

    resampler = Resampler(rate, wanted)
    samples = np.concatenate([resampler.feed(sound[0].numpy()), resampler.finish()])
    return torch.from_numpy(samples)[None]  # [1, N']


def _load_at(path: str, sr: int, mono: bool) -> tuple[Samples, int]:
    """``librosa.load``: samples ``(N,)`` of a file at the rate that is asked for."""
    assert mono
    return read_clip(Path(path), sr), sr
