"""Prepares a request in its own thread: an utterance becomes jobs, one per segment."""

from __future__ import annotations

import secrets

from voxcpm_openai.contracts import Utterance
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.engine.job import Job, LengthEstimate
from voxcpm_openai.runtime.engine.runner_protocol import Runner
from voxcpm_openai.runtime.engine.stream import StreamContinuation

DEFAULT_CFG, DEFAULT_STEPS = 2.0, 10
"""The model's own, for requests whose preset says nothing else."""


def solver_options(utterance: Utterance) -> tuple[float, int]:
    """Return the guidance scale and the solver's steps.  Raises InvalidRequest for no number."""
    cfg = _number(utterance, "cfg_value", DEFAULT_CFG)
    return cfg, round(_number(utterance, "inference_steps", DEFAULT_STEPS))


def prepare_request(utterance: Utterance, runner: Runner) -> list[Job]:
    """Return a job for each segment.

    Raises InvalidRequest, what the runner's ``prepare_segment`` raises, and TypeError for a
    continuation of another engine.
    """
    if not utterance.segments:
        raise InvalidRequest("There is nothing to say.", param="input")
    root_seed = secrets.randbits(63) if utterance.seed is None else utterance.seed
    cfg, steps = solver_options(utterance)
    earlier = _earlier(utterance)
    # Without a clip, the first segment of a text is the prompt of the others: otherwise each of
    # them would have another speaker.
    prompted = utterance.voice.audio is None and earlier.prompt is None
    jobs: list[Job] = []
    for index, segment in enumerate(utterance.segments):
        prepared = runner.prepare_segment(utterance, segment)
        length = LengthEstimate.of(segment.text, runner.patch_seconds, prepared.room)
        jobs.append(
            Job(
                earlier.segments + index,
                segment,
                prepared,
                length,
                runner.sample_rate,
                root_seed=root_seed,
                cfg=cfg,
                steps=steps,
                after=jobs[0] if prompted and jobs else None,
                leads=prompted and not jobs,
                continuation=earlier.prompt,
            )
        )
    return jobs


def _earlier(utterance: Utterance) -> StreamContinuation:
    """Return what the earlier streams of the text left."""
    if utterance.continuation is None:
        return StreamContinuation()
    if not isinstance(utterance.continuation, StreamContinuation):
        raise TypeError(f"{utterance.continuation!r} is not a continuation of this engine.")
    return utterance.continuation


def _number(utterance: Utterance, name: str, default: float) -> float:
    """Return an option.  Raises InvalidRequest if it is not a number (a preset may set it)."""
    value = utterance.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} = {value!r}: not a number.", param=name)
    return float(value)
