"""What stands for the package sounddevice: a loudspeaker that remembers what it has played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Device:
    """What stands for the package sounddevice."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.played = b""
        self.calls: list[str] = []

    def RawOutputStream(self, **options: Any) -> Any:  # noqa: N802
        if self.failure:
            raise self.PortAudioError(self.failure)
        self.options = options
        return self

    def write(self, samples: bytes) -> None:
        self.played += samples

    def abort(self) -> None:
        self.calls.append("abort")

    def __enter__(self) -> Any:
        return SimpleNamespace(write=self.write, abort=self.abort)

    def __exit__(self, *_: object) -> None:
        self.calls.append("stop")
