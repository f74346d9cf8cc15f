"""Steps whose rows end where a benchmark says, whatever the model does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voxcpm_openai.contracts import Samples
from voxcpm_openai.runtime.runner_protocol import Step


class Forced:
    """A step as it is but for its ``stops``; ``landed`` is told that its sound is there."""

    def __init__(
        self, step: Step, stops: Sequence[bool], landed: Callable[[], None] = lambda: None
    ) -> None:
        self.slots = step.slots
        self._step = step
        self._stops = stops
        self._landed = landed

    @property
    def done(self) -> bool:
        """Whether all is there."""
        return self._step.done

    def stops(self) -> Sequence[bool]:
        """Wait for what the model says; return what was given."""
        self._step.stops()
        return self._stops

    def samples(self) -> Sequence[Samples]:
        """Wait for the sound."""
        samples = self._step.samples()
        self._landed()
        return samples
