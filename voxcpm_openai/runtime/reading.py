"""Reading: an utterance becomes jobs, one a segment, in the request's thread."""

from __future__ import annotations

import secrets

from voxcpm_openai.contracts import Utterance
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.runtime.job import Budget, Job
from voxcpm_openai.runtime.runner_protocol import Runner

CFG, STEPS = 2.0, 10
"""What the model is made for, where a request and its preset say nothing else."""


def read(utterance: Utterance, runner: Runner) -> list[Job]:
    """Return a job for each segment, as the runner has read it.

    Raises InvalidRequest, and what the runner's ``prepare`` raises.
    """
    if not utterance.segments:
        raise InvalidRequest("There is nothing to say.", param="input")
    root = secrets.randbits(63) if utterance.seed is None else utterance.seed
    cfg = _number(utterance, "cfg_value", CFG)
    steps = round(_number(utterance, "inference_steps", STEPS))
    jobs: list[Job] = []
    for index, segment in enumerate(utterance.segments):
        plan = runner.prepare(utterance, segment)
        budget = Budget.of(segment.text, runner.patch_seconds, plan.room)
        # Without a clip each segment would be another speaker's.
        after = jobs[0] if jobs and utterance.voice.audio is None else None
        jobs.append(
            Job(
                index,
                segment,
                plan,
                budget,
                runner.sample_rate,
                root=root,
                cfg=cfg,
                steps=steps,
                after=after,
            )
        )
    return jobs


def _number(utterance: Utterance, name: str, default: float) -> float:
    """Return an option.  Raises InvalidRequest where it is no number (a preset may say so)."""
    value = utterance.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} = {value!r}: not a number.", param=name)
    return float(value)
