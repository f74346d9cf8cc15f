"""Encoded voice clips, cached in memory and on disk.

Encoding a clip takes seconds on a CPU, so it is cached: in memory for the voices used last, on disk
by the content of the clip and the model.  ``get`` encodes beside the steps, as suits a GPU; on a
CPU ``begin`` returns the work in parts, for the thread that steps.  A deleted clip leaves nothing
behind: its memory is freed at the next lookup, its files when the voice is deleted
(``voices/store`` finds them by the SHA-256 of the clip, their name's first part).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from voxcpm_openai.files import replaced
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.clip_encoding import (
    ClipEncoding,
    latents_in_parts,
    prefix_in_parts,
    prompt_in_parts,
)
from voxcpm_openai.runtime.model.state import KVPrefix, SpeakerPrompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.runtime.threads import LastingThread, run_in_fresh_thread

MAX_ENTRIES = 64
"""Voices in memory; a clip of 10 s takes 2.4 MB for VoxCPM2 and far less for the others."""


def latents_name(folder: Path, device: torch.device, dtype: str) -> str:
    """Return the name of the model in ``folder`` for ``VoiceCache``.

    Models with the same name encode a clip to the same latents: on a CPU in every dtype, since the
    VAE is float32.  On a GPU its products may be rounded beside bfloat16.
    """
    return f"{folder.resolve()}" if device.type == "cpu" else f"{folder.resolve()} {dtype}"


@dataclass(frozen=True, slots=True)
class EncodedVoice:
    """An encoded clip: ``latents [T, P, C]``, and its prefill.

    VoxCPM2 takes a clip as a reference and has a ``prefix``; the others have a ``prompt``.
    """

    latents: Tensor
    prefix: KVPrefix | None = None
    prompt: SpeakerPrompt | None = None

    @property
    def on_device(self) -> list[Tensor]:
        """The tensors that steps read."""
        prompt = self.prompt
        tensors = [] if prompt is None else [prompt.patch, prompt.tokens, prompt.conv_state]
        return tensors if self.prefix is None else [*tensors, self.prefix.kv]


@dataclass(slots=True)
class _Entry:
    """An encoded voice, and the files that hold its clip."""

    voice: EncodedVoice
    clips: set[Path]


class VoiceCache:
    """The encoded clips of one model.  Thread-safe; each clip is encoded once by each way."""

    def __init__(self, model: VoxCPM, name: str, folder: Path | None = None) -> None:
        """``name`` identifies the model on disk; without a ``folder`` nothing is stored there."""
        self._model = model
        self._name = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._folder = folder
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the one used last at the end
        self._lock = threading.Lock()
        self._encoding: dict[str, threading.Lock] = {}
        self._begun: dict[str, ClipEncoding] = {}
        self._encoder = _GPUEncoder(model.device) if devices.is_asynchronous(model.device) else None

    def get(self, clip: Path) -> EncodedVoice:
        """Return the encoded clip.  Raises InvalidRequest for a file without audio."""
        key = self._key(clip)
        with self._lock:
            self._drop_orphans()
            if (voice := self._lookup(key, clip)) is not None:
                return voice
            key_lock = self._encoding.setdefault(key, threading.Lock())
        with key_lock:  # other requests for the same clip wait here
            with self._lock:
                if (voice := self._lookup(key, clip)) is not None:
                    return voice
            run = run_in_fresh_thread if self._encoder is None else self._encoder.run
            voice = run(lambda: self._encode(key, clip))
            with self._lock:
                self._encoding.pop(key, None)
            self._keep(key, clip, voice)
        return voice

    def begin(self, clip: Path) -> ClipEncoding | None:
        """Return the work of encoding a clip, or None if it is in memory; then ``get`` is quick.

        While it is not done, each call returns the same.  Raises as ``get`` does.
        """
        key = self._key(clip)
        with self._lock:
            self._drop_orphans()
            if self._lookup(key, clip) is not None or key in self._begun:
                return self._begun.get(key)
        latents, samples = self._stored(key), None
        if latents is None:
            samples = self._samples(clip)
        encoding = ClipEncoding(self._in_parts(key, clip, latents, samples))
        with self._lock:
            if self._lookup(key, clip) is not None:
                return None
            return self._begun.setdefault(key, encoding)

    def _key(self, clip: Path) -> str:
        """Return the name of a clip's latents: what deletes the clip finds them by its hash."""
        from voxcpm_openai.audio import clip_content  # late: without clips it is not needed

        return f"{hashlib.sha256(clip_content(clip)).hexdigest()}-{self._name}"

    def _keep(self, key: str, clip: Path, voice: EncodedVoice) -> None:
        """Keep a voice in memory, in place of those that were not used for the longest time."""
        with self._lock:
            self._entries[key] = _Entry(voice, {clip})
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)

    def _lookup(self, key: str, clip: Path) -> EncodedVoice | None:
        """Return a cached voice and mark it as used last.  The lock is held."""
        if (entry := self._entries.get(key)) is None:
            return None
        entry.clips.add(clip)
        self._entries.move_to_end(key)
        return entry.voice

    def _drop_orphans(self) -> None:
        """Drop the clips whose files are gone.  The lock is held."""
        for key, entry in list(self._entries.items()):
            entry.clips = {clip for clip in entry.clips if clip.exists()}
            if not entry.clips:
                del self._entries[key]

    def _encode(self, key: str, clip: Path) -> EncodedVoice:
        with devices.exclusive(self._model.device):
            latents = self._latents(key, clip)
            if isinstance(self._model, VoxCPM2):
                return EncodedVoice(latents, self._model.prefix(latents))
            return EncodedVoice(latents, prompt=self._model.prompt(latents))

    def _in_parts(
        self, key: str, clip: Path, latents: Tensor | None, samples: Tensor | None
    ) -> Iterator[None]:
        """Encode ``samples [N]``, or go on from ``latents [T, P, C]``, and keep the voice.

        If that fails, the next ``begin`` starts anew.
        """
        model = self._model
        try:
            if samples is not None:
                latents = yield from latents_in_parts(model, samples)
                self._store(key, clip, latents)
            assert latents is not None
            if isinstance(model, VoxCPM2):
                voice = EncodedVoice(latents, (yield from prefix_in_parts(model, latents)))
            else:
                voice = EncodedVoice(latents, prompt=(yield from prompt_in_parts(model, latents)))
            self._keep(key, clip, voice)
        finally:
            with self._lock:
                self._begun.pop(key, None)

    def _latents(self, key: str, clip: Path) -> Tensor:
        """Return the latents of a clip, ``[T, P, C]``, from disk if they are there."""
        if (stored := self._stored(key)) is not None:
            return stored
        reference = isinstance(self._model, VoxCPM2)
        latents = self._model.encode(self._samples(clip), reference=reference).cpu()
        self._store(key, clip, latents)
        return latents

    def _samples(self, clip: Path) -> Tensor:
        """Return the samples of a clip, ``[N]``.  Raises InvalidRequest."""
        from voxcpm_openai.audio import read_clip  # late, as above

        return torch.from_numpy(read_clip(clip, self._model.encoder_rate))  # [N]

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{key}.safetensors"

    def _stored(self, key: str) -> Tensor | None:
        """Return latents ``[T, P, C]`` from disk, or None if they are not there."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            return load_file(path)["latents"]
        except (SafetensorError, KeyError, OSError):
            path.unlink(missing_ok=True)  # truncated: encode again
            return None

    def _store(self, key: str, clip: Path, latents: Tensor) -> None:
        """Keep the latents ``[T, P, C]`` of a clip on disk, unless it was deleted meanwhile."""
        if (path := self._path(key)) is None:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
        with replaced(path) as draft:
            save_file({"latents": latents.contiguous()}, draft)
        if not clip.exists():  # its deletion did not find this file
            path.unlink(missing_ok=True)


class _GPUEncoder:
    """Encodes clips one after the other, in one thread and on one CUDA stream.

    On the stream of the steps, encoding would delay the audio of all rows.  A new thread and stream
    for each clip would plan its convolutions anew, and keep 64 to 88 MB for each stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._thread = LastingThread("voxcpm-clips")
        self._stream: torch.cuda.Stream | None = None

    def run(self, encode: Callable[[], EncodedVoice]) -> EncodedVoice:
        """Return what ``encode`` returns, complete and for use on the stream of the steps."""
        return self._thread.run(lambda: self._run(encode))

    def _run(self, encode: Callable[[], EncodedVoice]) -> EncodedVoice:
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        with torch.cuda.stream(self._stream):
            voice = encode()
        self._stream.synchronize()
        # The memory of a voice that is dropped must not serve the next clip before the steps that
        # read it have ended.
        steps = torch.cuda.default_stream(self._device)
        for tensor in voice.on_device:
            tensor.record_stream(steps)
        return voice
