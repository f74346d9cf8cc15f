"""Results from the device: the stop flags come early, the samples at the end of a step.

Both are copied asynchronously to pinned memory, each with an event, so that waiting for one does
not wait for anything later.  There are buffers for two steps: one step can be launched while the
samples of the one before are still to be read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voxcpm_openai.contracts import Samples
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.faults import device_faults


class AsyncCopy:
    """A copy to the host, queued after the work that the device has already been given.

    Complete from the start where the device does not copy asynchronously.
    """

    def __init__(self, host: Tensor, device: Tensor) -> None:
        """Start to copy ``device`` to ``host``, of the same shape; pinned if from a GPU."""
        host.copy_(device, non_blocking=devices.is_asynchronous(device.device))
        self._host = host
        self._event = _record_event(device.device)

    @property
    def done(self) -> bool:
        """Whether the copy is complete."""
        return self._event is None or bool(self._event.query())

    def wait(self) -> Tensor:
        """Wait for the copy and return it."""
        if self._event is not None:
            with device_faults():
                self._event.synchronize()
        return self._host


class DeviceStep:
    """A step in flight.  Implements ``runner_protocol.Step``."""

    def __init__(self, slots: Sequence[int], stop_flags: AsyncCopy, samples: AsyncCopy) -> None:
        """``stop_flags [S]`` are of all slots, ``samples [B, N]`` of ``slots``."""
        self.slots = slots
        self._stop_flags = stop_flags
        self._samples = samples

    @property
    def done(self) -> bool:
        """Whether the samples, which come last, are there."""
        return self._samples.done

    def stop_flags(self) -> Sequence[bool]:
        """Wait for the language models; return whether each patch is the last of its row."""
        flags = self._stop_flags.wait().tolist()  # S of them
        return [flags[slot] for slot in self.slots]

    def samples(self) -> Sequence[Samples]:
        """Wait for the samples; return copies, ``(N,)`` for each patch."""
        return [np.array(row) for row in self._samples.wait().numpy()]


class OutputBuffers:
    """The output of a step on the device, and its copies on the host.

    ``samples [B, N]``: where the device writes the samples of the rows.
    """

    def __init__(self, rows: int, stop_flags: Tensor, patch_samples: int) -> None:
        """``rows``: the most of a step; ``stop_flags [S]``: the slots' own."""
        pinned = devices.is_asynchronous(stop_flags.device)
        self.samples = torch.zeros(rows, patch_samples, device=stop_flags.device)  # [B, N]
        self._stop_flags = stop_flags
        self._buffer_index = 0
        self._host_stop_flags = torch.zeros(
            2, len(stop_flags), dtype=torch.bool, pin_memory=pinned
        )  # [2, S]
        self._host_samples = torch.zeros(2, rows, patch_samples, pin_memory=pinned)  # [2, B, N]

    def copy_stop_flags(self) -> AsyncCopy:
        """Start to copy the stop flags; switch to the other buffers first."""
        self._buffer_index = 1 - self._buffer_index
        return AsyncCopy(self._host_stop_flags[self._buffer_index], self._stop_flags)

    def copy_samples(self, rows: int) -> AsyncCopy:
        """Start to copy the samples of the first ``rows`` rows."""
        return AsyncCopy(self._host_samples[self._buffer_index, :rows], self.samples[:rows])


def _record_event(device: torch.device) -> torch.cuda.Event | None:
    """Record an event after the work that a device has been given; None if it is done."""
    if not devices.is_asynchronous(device):
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event
