"""A second CUDA stream, for work that the next step does not wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class SideStream:
    """A stream beside that of the steps, which is the current one of the caller's thread.

    On a CPU there is none: work runs where it is called.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)
        self._mark: torch.cuda.Event | None = None

    @contextmanager
    def after_steps(self) -> Iterator[None]:
        """Queue what is called within on this stream, after what the steps' has been given."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            yield

    def mark(self) -> None:
        """Mark this point of the stream; call it within ``after_steps``."""
        if self._stream is not None:
            self._mark = torch.cuda.Event()
            self._mark.record(self._stream)

    def hold_steps(self) -> None:
        """Let what the steps' stream is given from now on wait for the last mark."""
        if self._mark is not None:
            torch.cuda.current_stream(self._device).wait_event(self._mark)
