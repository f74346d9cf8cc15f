"""The way back from the device: which rows stop comes early, their sound when it is made.

Both are copied into memory of the host that the device can write by itself, with an event behind
each, so that whoever wants one waits for it and for nothing else.  Two steps have buffers: one can
be launched while the sound of the one before is still to be taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voxcpm_openai.contracts import Samples
from voxcpm_openai.runtime.faults import device_faults


class Arrival:
    """A copy on its way to the host, behind all that the device was given before."""

    def __init__(self, here: Tensor, there: Tensor) -> None:
        """``here``: on the host, and pinned if ``there`` is on a GPU; they are of one shape."""
        here.copy_(there, non_blocking=True)
        self._here = here
        self._event = _event_behind(there.device)

    @property
    def done(self) -> bool:
        """Whether it is there."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> Tensor:
        """Wait until it is there; return it."""
        if self._event is not None:
            with device_faults():
                self._event.synchronize()
        return self._here


class Underway:
    """A step that the device is at: fulfils ``runner_protocol.Step``."""

    def __init__(self, slots: Sequence[int], stops: Arrival, sound: Arrival) -> None:
        """``stops [S]`` are of all slots, ``sound [B, N]`` of ``slots``."""
        self.slots = slots
        self._stops = stops
        self._sound = sound

    @property
    def done(self) -> bool:
        """Whether the sound is there, which comes last."""
        return self._sound.done

    def stops(self) -> Sequence[bool]:
        """Wait until the language models have heard; tell which of the patches are the last."""
        every = self._stops.wait().tolist()  # S of them
        return [every[slot] for slot in self.slots]

    def samples(self) -> Sequence[Samples]:
        """Wait for the sound; return copies of it, ``(N,)`` for each patch."""
        return [np.array(row) for row in self._sound.wait().numpy()]


class Landing:
    """The buffers.  ``samples [B, N]`` is where the device puts the sound."""

    def __init__(self, rows: int, stops: Tensor, patch_samples: int) -> None:
        """``rows``: the most that a step has; ``stops [S]``: the slots' own."""
        cuda = stops.device.type == "cuda"
        self.samples = torch.zeros(rows, patch_samples, device=stops.device)  # [B, N]
        self._stops = stops
        self._turn = 0
        self._stops_here = torch.zeros(2, len(stops), dtype=torch.bool, pin_memory=cuda)  # [2, S]
        self._samples_here = torch.zeros(2, rows, patch_samples, pin_memory=cuda)  # [2, B, N]

    def stops(self) -> Arrival:
        """Send off what the language models say, of the step that begins with this."""
        self._turn = 1 - self._turn
        return Arrival(self._stops_here[self._turn], self._stops)

    def sound(self, rows: int) -> Arrival:
        """Send off the sound of the first ``rows``."""
        return Arrival(self._samples_here[self._turn, :rows], self.samples[:rows])


def _event_behind(device: torch.device) -> torch.cuda.Event | None:
    """Return the event of a GPU's being through with all that it was given; a CPU always is."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
