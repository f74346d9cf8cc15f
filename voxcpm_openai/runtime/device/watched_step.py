"""Watches the steps of a runner: a lost device, and numbers that are no audio, are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from voxcpm_openai.contracts import Samples
from voxcpm_openai.runtime.engine.runner_protocol import Step
from voxcpm_openai.runtime.errors import DeviceError, WrongAudio

Report = Callable[[DeviceError | WrongAudio], None]
"""Is told what may be the fault of the path that the steps run on."""


@contextmanager
def reported(report: Report) -> Iterator[None]:
    """Report a fault of the block, which is raised again."""
    try:
        yield
    except (DeviceError, WrongAudio) as error:
        report(error)
        raise


class WatchedStep:
    """A step whose faults are reported.  Implements ``runner_protocol.Step``."""

    def __init__(self, step: Step, report: Report) -> None:
        self._step, self._report = step, report

    @property
    def slots(self) -> Sequence[int]:
        """The rows that get a patch."""
        return self._step.slots

    @property
    def done(self) -> bool:
        """Whether the step is complete."""
        return self._step.done

    def stop_flags(self) -> Sequence[bool]:
        """Wait for the stop flags."""
        with reported(self._report):
            return self._step.stop_flags()

    def samples(self) -> Sequence[Samples]:
        """Wait for the audio.  Raises WrongAudio if some of it is not finite."""
        with reported(self._report):
            samples = self._step.samples()
            if wrong := sum(not np.isfinite(row).all() for row in samples):
                raise WrongAudio(f"{wrong} of {len(samples)} rows of a step are not finite")
            return samples
