"""The upstream engine: the ``voxcpm`` package as it is, one request at a time.

To compare the voxcpm engine with, and for whoever trusts the package more.  It keeps one sequence
in its memory, so that two requests at once would change each other's sound.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from voxcpm_openai import (
    AudioStream,
    Chunk,
    Engine,
    EngineFailed,
    EngineSpec,
    InvalidRequest,
    Overloaded,
    RequestError,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    hookimpl,
)

logger = logging.getLogger(__name__)

NAME = "upstream"
PACKAGES = ("torch", "safetensors", "transformers", "einops", "pydantic", "tqdm", "voxcpm")
DTYPES = ("auto", "float32", "bfloat16")
CFG, STEPS = 2.0, 10
"""The package's own, where a request and its preset say nothing else."""
MAX_WAITING = 16
"""Requests that may wait for the one that is spoken."""


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Give the engine; every model id that names no engine is served by it too."""
    return [EngineSpec(NAME, start, available)]


def available(settings: Settings) -> str | None:
    """Return None, or what is missing: packages or weights, or which setting is not for it."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"the packages {', '.join(missing)} are missing; install them with "
            "pip install 'voxcpm-openai[upstream]' && pip install --no-deps voxcpm==2.0.3."
        )
    if settings.dtype not in DTYPES:
        return f"VOXCPM_DTYPE = {settings.dtype!r}: this engine knows {', '.join(DTYPES)}."
    from voxcpm_openai.runtime import weights

    try:
        weights.find(settings.model)
    except weights.WeightsError as error:
        return str(error)
    return None


def start(settings: Settings) -> Engine:
    """Load the checkpoint with the package, which then speaks a sentence to warm up."""
    from voxcpm_openai.runtime import upstream, weights

    folder, threads = weights.find(settings.model), settings.threads or os.cpu_count() or 1
    return UpstreamEngine(lambda: upstream.load(folder, settings.device, settings.dtype, threads))


class UpstreamStream:
    """The sound of one utterance: the engine's thread puts in, a request's thread takes out."""

    def __init__(self, utterance: Utterance) -> None:
        self.utterance = utterance
        self.cfg = _number(utterance, "cfg_value", CFG)
        self.steps = round(_number(utterance, "inference_steps", STEPS))
        self.tokens = self.patches = 0
        self.closed = False
        self._made: SimpleQueue[Chunk | Exception | None] = SimpleQueue()

    @property
    def usage(self) -> Usage:
        """Tokens of the text, and patches made."""
        return Usage(max(1, self.tokens), max(1, self.patches))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk; what came before an error is heard before it is raised."""
        made = self._made.get()
        if isinstance(made, Chunk) and not self.closed:
            return made
        self.put(made)  # whoever asks again gets the same answer
        if isinstance(made, Exception) and not self.closed:
            raise made
        raise StopIteration

    def close(self) -> None:
        """Cancel; the package goes on to the end of its patch, and no further."""
        self.closed = True
        self.put(None)

    def put(self, made: Chunk | Exception | None) -> None:
        """Hand out sound, or why there is no more, or None: that was all."""
        self._made.put(made)


class UpstreamEngine:
    """Fulfils ``Engine``: one thread owns the package's model and speaks in order of arrival."""

    clones = True
    native_speed = (1.0, 1.0)

    def __init__(self, load: Callable[[], Any]) -> None:
        """``load`` makes the model in the thread that uses it, to which its CUDA graphs belong."""
        self._inbox: SimpleQueue[UpstreamStream | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the next five
        self._state = "ready"
        self._waiting: list[UpstreamStream] = []
        self._running: UpstreamStream | None = None
        self._count: Counter[str] = Counter()
        self._seconds = 0.0  # of speaking
        loaded: Future[Any] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(load, loaded), name="upstream-engine", daemon=True
        )
        self._thread.start()
        self._model = loaded.result()
        self.sample_rate = int(self._model.sample_rate)
        self.designs = type(self._model).__name__ == "VoxCPM2Model"
        self.needs_transcript = not self.designs
        self.languages = () if self.designs else ("zh", "en")
        self.honours = frozenset({"seed", "cfg_value", "inference_steps"}) | (
            {"instructions"} if self.designs else set()
        )

    def speak(self, utterance: Utterance) -> AudioStream:
        """Begin to speak, or to wait.  Raises Overloaded, EngineFailed, Unavailable once stopped,
        and InvalidRequest for a clip without the words that the model needs.
        """
        voice = utterance.voice
        if voice.audio is not None and self.needs_transcript and not voice.transcript:
            raise InvalidRequest(
                f"The voice '{voice.id}' has a clip but no transcript, and this model needs the "
                "words of the clip. Add the voice again with its 'transcript'; VoxCPM2 needs none.",
                param="voice",
            )
        stream = UpstreamStream(utterance)
        with self._lock:
            if self._state != "ready":
                raise self._refusal()
            self._drop_closed()
            if len(self._waiting) >= MAX_WAITING:
                spoken = max(1, self._count["done"] + self._count["failed"])
                raise Overloaded(
                    f"This engine speaks one request at a time, and {MAX_WAITING} wait.",
                    retry_after=round(self._seconds / spoken * MAX_WAITING),
                )
            self._waiting.append(stream)
            self._inbox.put(stream)
        return stream

    def status(self) -> Mapping[str, object]:
        """Return a look inside: what runs, waits and has ended, and the patches of a second."""
        with self._lock:
            self._drop_closed()
            return {
                "state": self._state,
                "running": int(self._running is not None),
                "waiting": len(self._waiting),
                **{end: self._count[end] for end in ("done", "failed", "cancelled")},
                "patches_per_second": self._count["patches"] / max(self._seconds, 1e-9),
                "device": str(self._model.device),
                "dtype": str(self._model.config.dtype),
            }

    def stop(self) -> None:
        """End all streams with Unavailable, and the thread after the patch that it is at."""
        self._close("stopped")
        self._inbox.put(None)
        self._thread.join()

    def _drop_closed(self) -> None:
        left = [stream for stream in self._waiting if not stream.closed]
        self._count["cancelled"] += len(self._waiting) - len(left)
        self._waiting = left

    def _close(self, state: str) -> None:
        """End all streams with an error, and let no new one in.  The first state stays."""
        with self._lock:
            if self._state == "ready":
                self._state = state
            for stream in filter(None, (self._running, *self._waiting)):
                stream.put(self._refusal())
            self._count["failed"] += len(self._waiting)
            self._waiting = []

    def _refusal(self) -> RequestError:
        if self._state == "failed":
            return EngineFailed("The engine has failed; only a restart helps.", retry_after=60)
        return Unavailable("The engine has stopped.")

    # In the engine's thread

    def _run(self, load: Callable[[], Any], loaded: Future[Any]) -> None:
        try:
            loaded.set_result(load())
        except Exception as error:  # noqa: BLE001  (raised again where the engine is made)
            loaded.set_exception(error)
            return
        while (stream := self._inbox.get()) is not None:
            with self._lock:
                self._drop_closed()
                if stream not in self._waiting:
                    continue
                self._waiting.remove(stream)
                self._running = stream
            begun = time.monotonic()
            end = self._outcome(stream)
            with self._lock:
                self._running = None
                self._count[end] += 1
                self._count["patches"] += stream.patches
                self._seconds += time.monotonic() - begun

    def _outcome(self, stream: UpstreamStream) -> str:
        """Speak, and say how it ended; a fault ends this request alone."""
        try:
            self._say(stream)
        except RequestError as error:
            stream.put(error)
        except Exception as error:
            logger.exception("the package failed at a text")
            if "CUDA error" in str(error):  # every later call fails too
                self._close("failed")
            stream.put(Unavailable("The engine failed at this text; the server's log says why."))
        else:
            stream.put(None)
            return "cancelled" if stream.closed else "done"
        return "failed"

    def _say(self, stream: UpstreamStream) -> None:
        import torch

        said = stream.utterance
        torch.manual_seed(secrets.randbits(63) if said.seed is None else said.seed)
        with torch.inference_mode():
            prompt = self._prompt(said)
        direction = self._direction(said)
        for index, segment in enumerate(said.segments):
            text = direction + segment.text
            patches: list[Any] = []  # each [1, 1, P, C]
            speech = self._model.generate_with_prompt_cache_streaming(
                text, prompt, inference_timesteps=stream.steps, cfg_value=stream.cfg
            )
            with closing(speech):  # until then the package's decoder is in the state of this stream
                for sound, tokens, latents in speech:  # [1, N], [n], [[1, 1, P, C], ...]
                    if stream.closed:
                        return
                    if self._state != "ready":
                        raise self._refusal()
                    stream.tokens += 0 if patches else len(tokens)
                    stream.patches += 1
                    patches.append(latents[-1])
                    stream.put(Chunk(sound[0].float().numpy().copy(), index))
            if segment.pause:
                pause = np.zeros(round(segment.pause * self.sample_rate), np.float32)
                stream.put(Chunk(pause, index))
            if prompt is None:  # the speaker whom the first segment brought says the rest
                said_so_far = torch.cat(patches, dim=1)[0]  # [T, P, C]
                prompt = self._model.merge_prompt_cache(None, _before_more(text), said_so_far)
                direction = ""

    def _prompt(self, said: Utterance) -> Any:
        """Return what the package makes of the voice's clip, or None; it keeps nothing of it."""
        voice = said.voice
        if voice.audio is None:
            return None
        if self.designs:
            return self._model.build_prompt_cache(reference_wav_path=str(voice.audio))
        assert voice.transcript
        return self._model.build_prompt_cache(_before_more(voice.transcript), str(voice.audio))

    def _direction(self, said: Utterance) -> str:
        """VoxCPM2 takes a description of the speech in front of the text, in parentheses."""
        if not self.designs:
            return ""
        designed = said.voice.description if said.voice.audio is None else ""
        told = ", ".join(part for part in (designed, said.instructions) if part)
        return f"({told})" if told else ""


def _before_more(text: str) -> str:
    """Return a text as the package takes it in front of another: it puts nothing between them."""
    return f"{text} " if text[-1:].isascii() else text


def _number(utterance: Utterance, name: str, default: float) -> float:
    """Return an option.  Raises InvalidRequest where it is no number (a preset may say so)."""
    value = utterance.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} = {value!r}: not a number.", param=name)
    return float(value)
