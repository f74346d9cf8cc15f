"""Speaks one sentence with a model, without an engine, and measures the audio and the time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.memory import slot_length
from voxcpm_openai.runtime.device.runner import Continuation, ModelRunner
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.errors import WrongAudio
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

SENTENCE = "Good morning, it is a fine day today."
SEED = 1

SILENT = 1e-3
"""Root mean square below which audio counts as silent: -60 dB."""
SATURATED = 0.05
"""The part of samples at the limit above which audio counts as distorted."""
SHORTEST = 0.3
"""Audio that is shorter than this part of the expected length is too short."""

NO_CLIP, PROMPT, REFERENCE = "no clip", "prompt clip", "reference clip"


@dataclass(frozen=True)
class SpeechSample:
    """What was spoken in one mode.  Times are in milliseconds."""

    mode: str
    seconds: float
    expected_seconds: float  # for a slow speaker
    patches: int
    stopped: bool  # by itself, before the most patches that the sentence may have
    finite: bool
    rms: float
    saturated: float  # the part of samples at the limit
    prepare_ms: float  # the clip is encoded
    first_ms: float  # prefill and the first patch
    patch_ms: float  # each of the others, median
    real_time_factor: float  # of these; below 1 is faster than real time

    @property
    def faults(self) -> list[str]:
        """What is wrong with the audio, in words; empty if nothing is."""
        if not self.finite:
            return ["it has numbers that are not finite"]
        found = {
            f"it is silent (root mean square {self.rms:.1g})": self.rms < SILENT,
            f"it is distorted: {self.saturated:.0%} of it is at the limit": (
                self.saturated > SATURATED
            ),
            f"it did not end by itself within {self.seconds:.1f} s": not self.stopped,
            f"it is too short: {self.seconds:.1f} s, about {self.expected_seconds:.1f} expected": (
                self.seconds < SHORTEST * self.expected_seconds
            ),
        }
        return [fault for fault, wrong in found.items() if wrong]


class Speaker:
    """Speaks with a model and a clip, in one slot."""

    def __init__(self, model: VoxCPM, clip: Path, transcript: str) -> None:
        """``transcript``: the exact words of ``clip``."""
        self._model, self._clip, self._transcript = model, clip, transcript
        self._runner = ModelRunner(
            model,
            VoiceCache(model, "speech sample"),
            slots=1,
            length=slot_length(model.config),
            capture=enforce_eager if devices.pads_batches(model.device) else None,
        )

    @property
    def modes(self) -> Sequence[str]:
        """The modes of the model: VoxCPM2 has one more."""
        return (NO_CLIP, PROMPT, *([REFERENCE] if isinstance(self._model, VoxCPM2) else []))

    def speak(self, mode: str) -> SpeechSample:
        """Speak ``SENTENCE`` in a mode, with 10 steps and guidance 2."""
        begun = time.perf_counter()
        job = self._job(mode)
        prepared = time.perf_counter()
        chunks: list[Samples] = []
        times, stopped = [prepared], False
        for is_last, samples in self._patches(job):
            times.append(time.perf_counter())
            chunks.append(samples)
            stopped = is_last and len(chunks) >= job.length.min_patches
            if stopped or len(chunks) >= job.length.max_patches:
                break
        self._runner.release(0)
        milliseconds = np.diff(times) * 1000  # (patches,)
        patch_ms = statistics.median(milliseconds[1:] if len(chunks) > 1 else milliseconds)
        audio = np.concatenate(chunks)  # (n,)
        finite = bool(np.isfinite(audio).all())
        return SpeechSample(
            mode=mode,
            seconds=len(audio) / self._runner.sample_rate,
            expected_seconds=job.length.expected_patches * self._runner.patch_seconds,
            patches=len(chunks),
            stopped=stopped,
            finite=finite,
            rms=float(np.sqrt(np.mean(np.square(audio)))) if finite else 0.0,
            saturated=float(np.mean(np.abs(audio) > 0.99)) if finite else 0.0,
            prepare_ms=(prepared - begun) * 1000,
            first_ms=float(milliseconds[0]),
            patch_ms=float(patch_ms),
            real_time_factor=float(patch_ms) / 1000 / self._runner.patch_seconds,
        )

    def _patches(self, job: Job) -> Iterator[tuple[bool, Samples]]:
        """Yield the stop flag and the samples of each patch, for ever."""
        self._runner.admit(0, job)
        while True:
            step = self._runner.launch([0])
            # Nothing comes of a step that is still prefilling.
            yield from zip(step.stop_flags(), self._samples(step), strict=True)

    def _samples(self, step: Step) -> Sequence[Samples]:
        """Return the audio of a step; NaN if it has numbers that are not finite."""
        try:
            return step.samples()
        except WrongAudio:
            wrong = np.full(self._model.patch_samples, np.nan, np.float32)  # (n,)
            return [wrong] * len(step.slots)

    def _job(self, mode: str) -> Job:
        from voxcpm_openai.audio import read_clip  # late, as in `voice_cache`

        voice, continuation = Voice("", ""), None
        if mode == REFERENCE:
            voice = Voice("", "", audio=self._clip)
        elif mode == PROMPT:
            samples = torch.from_numpy(read_clip(self._clip, self._model.encoder_rate))  # [N]
            continuation = Continuation(self._transcript, self._model.encode(samples))
        segment = Segment(SENTENCE)
        prepared = self._runner.prepare_segment(Utterance((segment,), voice), segment)
        length = LengthEstimate.of(SENTENCE, self._runner.patch_seconds, prepared.room)
        rate = self._runner.sample_rate
        return Job(0, segment, prepared, length, rate, root_seed=SEED, continuation=continuation)
