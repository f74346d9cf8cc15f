"""Faults of a device, told from those of a request: one that is lost, and one that is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from voxcpm_openai.errors import Overloaded
from voxcpm_openai.runtime.runner_protocol import DeviceError

RETRY_SECONDS = 5


@contextmanager
def device_faults() -> Iterator[None]:
    """Raise DeviceError where the device is lost, and Overloaded where it has no memory left.

    A full one can serve others, and this one later.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise Overloaded(
            f"The device has no memory left for this. Try again in {RETRY_SECONDS} s.",
            retry_after=RETRY_SECONDS,
        ) from error
    except RuntimeError as error:
        # After an error of the device itself every later call fails too.
        if "CUDA error" in str(error):
            raise DeviceError(str(error)) from error
        raise
