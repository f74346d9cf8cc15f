"""Errors of a device: a lost device fails the engine, a full one only the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.errors import DeviceError

RETRY_SECONDS = 5
LOST = (
    *("CUDA error", "cuDNN error", "Triton Error [CUDA]"),
    *("HIP error", "Triton Error [HIP]", "UR_RESULT_ERROR_DEVICE_LOST"),
)
"""What messages contain of PyTorch, libraries in it and Triton when a device is lost."""
FULL = ("MPS backend out of memory", "UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY")
"""What messages contain when memory is missing and the exception does not say so."""


@contextmanager
def device_faults() -> Iterator[None]:
    """Raise DeviceError if the block loses the device, and Overloaded if it runs out of memory.

    Without memory for one request, a device can still serve others.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(full in str(error) for full in FULL):
            raise Overloaded(
                f"The device has no memory left for this. Try again in {RETRY_SECONDS} s.",
                retry_after=RETRY_SECONDS,
            ) from error
        # After such an error, every later call fails too.
        if any(lost in str(error) for lost in LOST):
            raise DeviceError(str(error)) from error
        raise
