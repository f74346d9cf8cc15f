"""Speaker embeddings: resemblyzer's network (GE2E, an LSTM of three layers) in numpy.

The package itself needs torch and librosa; only its weights are used here.
"""

from __future__ import annotations

import collections
import importlib.util
import io
import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

Array = npt.NDArray[np.float32]

RATE = 16_000
WINDOW, HOP, MELS = 400, 160, 40
FRAMES, STEP = 160, 80
"""Mel frames of a part, and from one part to the next; each part gets an embedding."""
CELLS = 256
LEVEL = 10 ** (-30 / 20)
"""The RMS to which speech is scaled first."""


def embed(recordings: list[Array], rate: int) -> Array:
    """Return the unit vectors, shape (n, 256), of the voices in n mono recordings at ``rate`` Hz.

    Each lasts 1.6 s or more.  The dot product of two is their likeness: near 1 for one speaker.
    All go through the network as one batch.
    """
    cut = [_parts(soxr.resample(samples, rate, RATE)) for samples in recordings]
    vectors = _network(np.concatenate(cut))
    ends = np.cumsum([len(parts) for parts in cut])[:-1]
    return unit(np.stack([own.mean(axis=0) for own in np.split(vectors, ends)]))


def _parts(speech: Array) -> Array:
    mel = mel_spectrogram(speech * (LEVEL / np.sqrt(np.mean(speech**2))))  # (frames, 40)
    starts = range(0, len(mel) - FRAMES + 1, STEP)
    return np.stack([mel[start : start + FRAMES] for start in starts])  # (parts, 160, 40)


def mel_spectrogram(samples: Array) -> Array:
    """Return power in 40 slaney mel bands, shape (frames, 40), as librosa does with its defaults.

    Frames of 25 ms (periodic Hann) every 10 ms, centred, with zeros beyond the ends.
    """
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    mel: Array = (power @ mel_filters().T).astype(np.float32)
    return mel


@lru_cache(maxsize=1)
def mel_filters() -> npt.NDArray[np.float64]:
    """Return triangles of equal area on slaney's mel scale, shape (40, 201)."""
    # Linear up to 1000 Hz, which is mel 15; above that 27 mels are a factor of 6.4.
    top = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    mels = np.linspace(0, top, MELS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))  # (42,), Hz
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    filters: npt.NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    filters *= 2 / (high - low)
    return filters


def _network(parts: Array) -> Array:
    """Embed mel parts of shape (parts, 160, 40): unit vectors, shape (parts, 256)."""
    weights = _weights()
    layer = parts
    for number in range(3):
        layer = _lstm(
            layer,
            weights[f"lstm.weight_ih_l{number}"],
            weights[f"lstm.weight_hh_l{number}"],
            weights[f"lstm.bias_ih_l{number}"] + weights[f"lstm.bias_hh_l{number}"],
        )
    vectors = layer[:, -1] @ weights["linear.weight"].T + weights["linear.bias"]
    return unit(np.maximum(vectors, 0))


def unit(vectors: Array) -> Array:
    """Scale vectors, shape (..., 256), to the length 1."""
    scaled: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def _lstm(inputs: Array, from_input: Array, from_hidden: Array, bias: Array) -> Array:
    """One layer: (parts, frames, features) to (parts, frames, 256); gates in torch's order."""
    hidden = np.zeros((len(inputs), CELLS), np.float32)
    cell = np.zeros_like(hidden)
    outputs = np.empty((*inputs.shape[:2], CELLS), np.float32)
    for frame in range(inputs.shape[1]):
        gates = inputs[:, frame] @ from_input.T + hidden @ from_hidden.T + bias  # (parts, 1024)
        enter, forget, new, leave = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        hidden = _sigmoid(leave) * np.tanh(cell)
        outputs[:, frame] = hidden
    return outputs


def _sigmoid(x: Array) -> Array:
    result: Array = 0.5 * (1 + np.tanh(0.5 * x))
    return result


@lru_cache(maxsize=1)
def _weights() -> dict[str, Array]:
    spec = importlib.util.find_spec("resemblyzer")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("resemblyzer is missing: pip install --no-deps resemblyzer")
    path = Path(spec.submodule_search_locations[0]) / "pretrained.pt"
    return read_legacy_checkpoint(path.read_bytes())


class _Unpickler(pickle.Unpickler):
    """Reads torch's checkpoints from before 1.6: tensors, dictionaries and nothing else."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, bytearray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) in {("torch", "FloatStorage"), ("torch", "LongStorage")}:
            return "<f4" if name == "FloatStorage" else "<i8"
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, count, *_ = pid
        item = np.dtype(dtype)
        memory = self.storages.setdefault(key, bytearray(count * item.itemsize))
        return np.frombuffer(memory, item)


def _tensor(
    storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> npt.NDArray[Any]:
    # A view: the numbers come into the storage later in the file.
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps)


def read_legacy_checkpoint(content: bytes) -> dict[str, Array]:
    """Return ``model_state``: arrays by name.  Raises UnpicklingError for foreign objects.

    The file: magic number, protocol, machine, the object, the keys of its storages (each a
    pickle), then each storage as a count of eight bytes and the numbers.
    """
    file = io.BytesIO(content)
    for _ in range(3):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    state: dict[str, Array] = unpickler.load()["model_state"]
    for key in _Unpickler(file).load():
        file.read(8)
        memory = unpickler.storages[key]
        memory[:] = file.read(len(memory))
    return state
