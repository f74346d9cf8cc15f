"""Errors of a device: a lost device fails the engine, a full one only the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.errors import DeviceError

RETRY_SECONDS = 5
LOST = ("CUDA error", "cuDNN error", "Triton Error [CUDA]")
"""How the messages of PyTorch, of cuDNN in PyTorch, and of Triton begin when a device is lost."""


@contextmanager
def device_faults() -> Iterator[None]:
    """Raise DeviceError if the block loses the device, and Overloaded if it runs out of memory.

    Without memory for one request, a device can still serve others.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise Overloaded(
            f"The device has no memory left for this. Try again in {RETRY_SECONDS} s.",
            retry_after=RETRY_SECONDS,
        ) from error
    except RuntimeError as error:
        # After such an error, every later call fails too.
        if any(lost in str(error) for lost in LOST):
            raise DeviceError(str(error)) from error
        raise
