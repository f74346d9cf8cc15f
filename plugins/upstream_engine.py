"""The upstream engine: the ``voxcpm`` package as it is, for comparison with the voxcpm engine.

It runs one request at a time: the package keeps one sequence in memory, so that two requests at
once would change each other's audio.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from voxcpm_openai import (
    AudioStream,
    Capabilities,
    Chunk,
    Engine,
    EngineFailed,
    EngineSpec,
    EngineState,
    EngineStatus,
    Overloaded,
    RequestError,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    available_cores,
    clip_content,
    hookimpl,
)

logger = logging.getLogger(__name__)

NAME = "upstream"
PACKAGES = ("torch", "safetensors", "transformers", "einops", "pydantic", "tqdm", "voxcpm")
DTYPES = ("auto", "float32", "bfloat16")
MAX_WAITING = 16
"""The number of requests that may wait."""


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Offer the engine; it serves every model id that names no engine."""
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    # For comparison: `auto` never prefers it to another engine.
    return [
        EngineSpec(
            NAME,
            start,
            unavailable_reason,
            priority=-100,
            settings=VoxcpmSettings,
            device=lambda settings: settings.of(VoxcpmSettings).device,
        )
    ]


def unavailable_reason(settings: Settings) -> str | None:
    """Return what is missing (packages, weights), which setting is not supported, or None."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        install = "pip install 'voxcpm-openai[upstream]' && pip install --no-deps voxcpm==2.0.3"
        return f"the packages {', '.join(missing)} are missing; install them with {install}."
    from voxcpm_openai.runtime import gpu
    from voxcpm_openai.runtime.errors import HubError
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    own = settings.of(VoxcpmSettings)
    if own.dtype not in DTYPES:
        return f"VOXCPM_DTYPE = {own.dtype!r}: this engine supports {', '.join(DTYPES)}."
    try:
        hub.find(own.model)
    except HubError as error:
        return str(error)
    other = "VOXCPM_DEVICE = 'xpu': this engine supports auto, cpu, cuda and mps."
    return other if own.device == "xpu" else gpu.mismatch(own.device)


def start(settings: Settings) -> Engine:
    """Load the checkpoint with the package, which warms up by synthesizing a sentence."""
    from voxcpm_openai.runtime.loading import hub, upstream
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    own = settings.of(VoxcpmSettings)
    folder, threads = hub.find(own.model), settings.threads or available_cores()
    device = own.device.partition(":")[0]  # see `EngineSpec.device`
    return UpstreamEngine(lambda: upstream.load(folder, device, own.dtype, threads))


class UpstreamStream:
    """The audio of one utterance: the engine's thread puts chunks in, another takes them out."""

    def __init__(self, utterance: Utterance) -> None:
        self.utterance = utterance
        from voxcpm_openai.runtime.engine.prepare import solver_options

        self.cfg, self.steps = solver_options(utterance)
        self.tokens = self.patches = 0
        self.closed = False
        self._queue: SimpleQueue[Chunk | Exception | None] = SimpleQueue()

    @property
    def usage(self) -> Usage:
        """The tokens of the text, and the patches that were made."""
        return Usage(max(1, self.tokens), max(1, self.patches))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """Wait for the next chunk.  Chunks before an error are returned before it is raised."""
        item = self._queue.get()
        if isinstance(item, Chunk) and not self.closed:
            return item
        self.put(item)  # an end is repeated
        if isinstance(item, Exception) and not self.closed:
            raise item
        raise StopIteration

    def close(self) -> None:
        """Cancel; the package finishes its current patch."""
        self.closed = True
        self.put(None)

    def put(self, item: Chunk | Exception | None) -> None:
        """Add a chunk, an error, or None for the end."""
        self._queue.put(item)


class UpstreamEngine(Engine):
    """One thread owns the package's model and serves the requests in order of arrival."""

    def __init__(self, load: Callable[[], Any]) -> None:
        """``load`` is called in the thread that uses the model: its CUDA graphs belong to it."""
        self._inbox: SimpleQueue[UpstreamStream | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the next five
        self._state: EngineState = "ready"
        self._waiting: list[UpstreamStream] = []
        self._running: UpstreamStream | None = None
        self._count: Counter[str] = Counter()
        self._seconds = 0.0  # spent on requests
        loaded: Future[Any] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(load, loaded), name="upstream-engine", daemon=True
        )
        self._thread.start()
        self._model = loaded.result()
        self._second = type(self._model).__name__ == "VoxCPM2Model"
        self.capabilities = Capabilities(
            sample_rate=int(self._model.sample_rate),
            languages=() if self._second else ("zh", "en"),
            params=frozenset({"seed", "cfg_value", "inference_steps"})
            | ({"instructions"} if self._second else set()),
            cloning=True,
            needs_transcript=not self._second,
            voice_design=self._second,
        )

    def synthesize(self, utterance: Utterance) -> AudioStream:
        """Queue a request.  Raises Overloaded, EngineFailed, and Unavailable once stopped."""
        stream = UpstreamStream(utterance)
        with self._lock:
            if self._state != "ready":
                raise self._refusal()
            self._drop_closed()
            if len(self._waiting) >= MAX_WAITING:
                served = max(1, self._count["completed"] + self._count["failed"])
                raise Overloaded(
                    f"This engine runs one request at a time, and {MAX_WAITING} are waiting.",
                    retry_after=round(self._seconds / served * MAX_WAITING),
                )
            self._waiting.append(stream)
            self._inbox.put(stream)
        return stream

    def status(self) -> EngineStatus:
        """Return the state of the engine, which counts requests."""
        with self._lock:
            self._drop_closed()
            running, waiting = int(self._running is not None), len(self._waiting)
            return EngineStatus(
                state=self._state,
                streams=running + waiting,
                running=running,
                waiting=waiting,
                completed=self._count["completed"],
                failed=self._count["failed"],
                cancelled=self._count["cancelled"],
                details={
                    "patches_per_second": self._count["patches"] / max(self._seconds, 1e-9),
                    "device": str(self._model.device),
                    "dtype": str(self._model.config.dtype),
                },
            )

    def stop(self) -> None:
        """End all streams with Unavailable, and the thread after its current patch."""
        self._close("stopped")
        self._inbox.put(None)
        self._thread.join()

    def _drop_closed(self) -> None:
        left = [stream for stream in self._waiting if not stream.closed]
        self._count["cancelled"] += len(self._waiting) - len(left)
        self._waiting = left

    def _close(self, state: EngineState) -> None:
        """End all streams with an error and refuse new ones.  The first state stays."""
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
        from voxcpm_openai.runtime.threads import settle

        settle(loaded, load)
        if loaded.exception():
            return
        while (stream := self._inbox.get()) is not None:
            with self._lock:
                self._drop_closed()
                if stream not in self._waiting:
                    continue
                self._waiting.remove(stream)
                self._running = stream
            begun = time.monotonic()
            outcome = self._serve(stream)
            with self._lock:
                self._running = None
                self._count[outcome] += 1
                self._count["patches"] += stream.patches
                self._seconds += time.monotonic() - begun

    def _serve(self, stream: UpstreamStream) -> str:
        """Synthesize and return the outcome; an error ends this request only."""
        try:
            self._synthesize(stream)
        except RequestError as error:
            stream.put(error)
        except Exception as error:  # the package may fail in any way; the next request is served
            logger.exception("the voxcpm package failed at a text")
            if "CUDA error" in str(error):  # every later call fails too
                self._close("failed")
            stream.put(Unavailable("The engine failed at this text; the server's log says why."))
        else:
            stream.put(None)
            return "cancelled" if stream.closed else "completed"
        return "failed"

    def _synthesize(self, stream: UpstreamStream) -> None:
        import torch

        utterance = stream.utterance
        torch.manual_seed(secrets.randbits(63) if utterance.seed is None else utterance.seed)
        with torch.inference_mode():
            prompt = self._prompt(utterance)
        control = self._control(utterance)
        for index, segment in enumerate(utterance.segments):
            text = control + segment.text
            patches: list[Any] = []  # each [1, 1, P, C]
            steps = self._model.generate_with_prompt_cache_streaming(
                text, prompt, inference_timesteps=stream.steps, cfg_value=stream.cfg
            )
            with closing(steps):  # until then the package's decoder has the state of this stream
                for audio, tokens, latents in steps:  # [1, N], [n], [[1, 1, P, C], ...]
                    if stream.closed:
                        return
                    if self._state != "ready":
                        raise self._refusal()
                    stream.tokens += 0 if patches else len(tokens)
                    stream.patches += 1
                    patches.append(latents[-1])
                    stream.put(Chunk(audio[0].float().numpy().copy(), index))
            if segment.pause:
                pause = np.zeros(round(segment.pause * self.capabilities.sample_rate), np.float32)
                stream.put(Chunk(pause, index))
            if prompt is None:  # the first segment is the prompt of the others: one speaker
                latents_so_far = torch.cat(patches, dim=1)[0]  # [T, P, C]
                prompt = self._model.merge_prompt_cache(None, _as_prefix(text), latents_so_far)
                control = ""

    def _prompt(self, utterance: Utterance) -> Any:
        """Return the package's prompt cache of the voice's clip, or None."""
        voice = utterance.voice
        if voice.audio is None:
            return None
        clip_content(voice.audio)  # checks the file, which the package opens itself
        if self._second:
            return self._model.build_prompt_cache(reference_wav_path=str(voice.audio))
        assert voice.transcript
        return self._model.build_prompt_cache(_as_prefix(voice.transcript), str(voice.audio))

    def _control(self, utterance: Utterance) -> str:
        """Return VoxCPM2's control text, which goes before the text in parentheses."""
        if not self._second:
            return ""
        voice = utterance.voice
        description = voice.description if voice.audio is None else ""
        control = ", ".join(part for part in (description, utterance.instructions) if part)
        return f"({control})" if control else ""


def _as_prefix(text: str) -> str:
    """Return a text so that another one can follow: the package puts nothing between them."""
    return f"{text} " if text[-1:].isascii() else text
