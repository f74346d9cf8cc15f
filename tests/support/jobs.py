"""Jobs with short patches, and the audio of their patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxcpm_openai.contracts import Segment
from voxcpm_openai.runtime.engine.job import Job, JobState, LengthEstimate
from voxcpm_openai.runtime.engine.silence import SilenceTrimmer

RATE = 1_000
PATCH = 100
"""Samples: 0.1 s."""


@dataclass(frozen=True)
class Prepared:
    tokens: int = 3
    room: int = 1_000


def job(
    index: int = 0, *, pause: float = 0.0, max_patches: int = 30, expected_patches: int = 10
) -> Job:
    length = LengthEstimate(PATCH / RATE, 2, expected_patches, max_patches)
    return Job(index, Segment("word", pause), Prepared(), length, RATE, root_seed=7)


def tone(samples: int, level: float = 0.2) -> np.ndarray:
    return np.full(samples, level, np.float32)


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples, np.float32)


def concat(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *parts])


def trim(trimmer: SilenceTrimmer, *chunks: np.ndarray) -> np.ndarray:
    return concat(*(trimmer.feed(chunk) for chunk in chunks), trimmer.finish())


def append_audio(job: Job, patch: np.ndarray, *, stopped: bool) -> JobState:
    """Count a patch of a job, then append its audio."""
    job.count_patch(stopped)
    return job.append_audio(patch)


def generate(job: Job, *patches: np.ndarray) -> JobState:
    """Generate patches for a job; the last one stops."""
    state = JobState.LIVE
    for number, patch in enumerate(patches, 1):
        state = append_audio(job, patch, stopped=number == len(patches))
    job.state = state
    return state
