"""Prompts: a voice's clip encoded once, kept in memory and on disk.

Encoding a clip takes seconds on a CPU, so it happens in the request's thread, outside the loop, and
what came of it is kept: in memory for the voices used last, on disk by the content of the clip and
the model that encoded it.  What a clip has left behind goes with it: in memory as soon as the next
one is asked for, on disk when the voice is deleted (``voices/store.py`` knows the files by the
SHA-256 of the clip, with which their names begin).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.aside import aside
from voxcpm_openai.runtime.model.state import Prefix, Prompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

KEPT = 64
"""Voices in memory; a clip of 10 s is 2.4 MB for VoxCPM2 and far less for the others."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An encoded clip: ``latents [T, P, C]``, and what the model has heard of them.

    ``prefix`` is VoxCPM2's, which takes a clip as a reference; ``prompt`` that of the others.
    """

    latents: Tensor
    prefix: Prefix | None = None
    prompt: Prompt | None = None


@dataclass(slots=True)
class _Kept:
    """A reference, and the files that hold its clip."""

    reference: Reference
    clips: set[Path]


class Prompts:
    """The encoded clips of one model.  Called from many threads; a clip is encoded once."""

    def __init__(self, model: VoxCPM, name: str, folder: Path | None = None) -> None:
        """``name`` tells models apart on disk; without a ``folder`` nothing is kept there."""
        self._model = model
        self._name = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._folder = folder
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._encoding: dict[str, threading.Lock] = {}

    def get(self, clip: Path) -> Reference:
        """Return a clip's reference.  Raises InvalidRequest for a file that holds no sound."""
        try:
            content = clip.read_bytes()
        except OSError as error:
            raise InvalidRequest(
                f"The voice's clip cannot be read: {error}.", param="voice"
            ) from error
        key = f"{hashlib.sha256(content).hexdigest()}-{self._name}"
        with self._lock:
            self._drop_orphans()
            if (reference := self._again(key, clip)) is not None:
                return reference
            mine = self._encoding.setdefault(key, threading.Lock())
        with mine:  # who asks for the same clip meanwhile waits for it
            with self._lock:
                if (reference := self._again(key, clip)) is not None:
                    return reference
            reference = aside(lambda: self._made(key, clip))
            with self._lock:
                self._kept[key] = _Kept(reference, {clip})
                self._encoding.pop(key, None)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return reference

    def _again(self, key: str, clip: Path) -> Reference | None:
        """Return what is kept under a key, as the newest; the lock is held."""
        if (kept := self._kept.get(key)) is None:
            return None
        kept.clips.add(clip)
        self._kept.move_to_end(key)
        return kept.reference

    def _drop_orphans(self) -> None:
        """Forget the clips whose files are gone; the lock is held."""
        for key, kept in list(self._kept.items()):
            kept.clips = {clip for clip in kept.clips if clip.exists()}
            if not kept.clips:
                del self._kept[key]

    def _made(self, key: str, clip: Path) -> Reference:
        with _beside_the_steps(self._model.device):
            return self._reference(self._latents(key, clip))

    def _reference(self, latents: Tensor) -> Reference:
        if isinstance(self._model, VoxCPM2):
            return Reference(latents, self._model.prefix(latents))
        return Reference(latents, prompt=self._model.prompt(latents))

    def _latents(self, key: str, clip: Path) -> Tensor:
        """Return the latents of a clip, ``[T, P, C]``, from disk if they are there."""
        path = None if self._folder is None else self._folder / f"{key}.safetensors"
        if path is not None and path.is_file():
            try:
                return load_file(path)["latents"]
            except (SafetensorError, KeyError, OSError):
                path.unlink(missing_ok=True)  # cut off while it was written: made anew
        samples = torch.from_numpy(read_clip(clip, self._model.encoder_rate))  # [N]
        latents = self._model.encode(samples, reference=isinstance(self._model, VoxCPM2)).cpu()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
            save_file({"latents": latents.contiguous()}, unfinished)
            unfinished.replace(path)
            if not clip.exists():  # deleted while it was encoded: nobody else would tidy up
                path.unlink(missing_ok=True)
        return latents


@contextmanager
def _beside_the_steps(device: torch.device) -> Iterator[None]:
    """Let a GPU do what is asked of it here on a stream of its own, and wait until it is done.

    On the stream of the steps a clip would hold up everybody's sound.
    """
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()


def read_clip(path: Path, rate: int) -> Samples:
    """Read a clip as mono samples at ``rate`` Hz.  Raises InvalidRequest if it holds no sound."""
    import soundfile  # late, as the resampler: without clips the runtime does without both

    from voxcpm_openai.audio import Resampler

    try:
        sound, rate_in = soundfile.read(path, dtype="float32", always_2d=True)  # (n, channels)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InvalidRequest(f"The voice's clip cannot be read: {error}.", param="voice") from error
    mono: Samples = np.ascontiguousarray(sound.mean(axis=1), np.float32)  # (n,)
    if not len(mono):
        raise InvalidRequest("The voice's clip is empty.", param="voice")
    resampler = Resampler(rate_in, rate)
    return np.concatenate([resampler.feed(mono), resampler.finish()])
