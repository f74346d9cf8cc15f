"""Encoded voice clips, cached in memory and on disk.

Encoding a clip takes seconds on a CPU, so it runs in the request's thread, outside the loop, and is
cached: in memory for the voices used last, on disk by the content of the clip and the model.  A
deleted clip leaves nothing behind: its memory is freed at the next lookup, its files when the voice
is deleted (``voices/store`` finds them by the SHA-256 of the clip, their name's first part).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from voxcpm_openai.runtime.device import devices
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
    """The encoded clips of one model.  Thread-safe; each clip is encoded once."""

    def __init__(self, model: VoxCPM, name: str, folder: Path | None = None) -> None:
        """``name`` identifies the model on disk; without a ``folder`` nothing is stored there."""
        self._model = model
        self._name = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._folder = folder
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the one used last at the end
        self._lock = threading.Lock()
        self._encoding: dict[str, threading.Lock] = {}
        self._encoder = _GPUEncoder(model.device) if devices.is_asynchronous(model.device) else None

    def get(self, clip: Path) -> EncodedVoice:
        """Return the encoded clip.  Raises InvalidRequest for a file without audio."""
        from voxcpm_openai.audio import clip_content  # late: without clips it is not needed

        content = clip_content(clip)
        key = f"{hashlib.sha256(content).hexdigest()}-{self._name}"
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
                self._entries[key] = _Entry(voice, {clip})
                self._encoding.pop(key, None)
                while len(self._entries) > MAX_ENTRIES:
                    self._entries.popitem(last=False)
        return voice

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

    def _latents(self, key: str, clip: Path) -> Tensor:
        """Return the latents of a clip, ``[T, P, C]``, from disk if they are there."""
        path = None if self._folder is None else self._folder / f"{key}.safetensors"
        if path is not None and path.is_file():
            try:
                return load_file(path)["latents"]
            except (SafetensorError, KeyError, OSError):
                path.unlink(missing_ok=True)  # truncated: encode again
        from voxcpm_openai.audio import read_clip  # late, as above

        samples = torch.from_numpy(read_clip(clip, self._model.encoder_rate))  # [N]
        latents = self._model.encode(samples, reference=isinstance(self._model, VoxCPM2)).cpu()
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
            temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
            save_file({"latents": latents.contiguous()}, temporary)
            temporary.replace(path)
            if not clip.exists():  # deleted meanwhile: its deletion did not find this file
                path.unlink(missing_ok=True)
        return latents


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
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            voice = encode()
        self._stream.synchronize()
        # The memory of a voice that is dropped must not serve the next clip before the steps that
        # read it have ended.
        steps = torch.cuda.default_stream(self._device)
        for tensor in voice.on_device:
            tensor.record_stream(steps)
        return voice
