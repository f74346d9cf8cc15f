"""Reads the stream of an engine that may hang."""

from __future__ import annotations

import threading

from voxcpm_openai.contracts import AudioStream, Chunk


class StreamReader:
    """Reads a stream in a thread of its own, so that one that hangs cannot hang the check."""

    def __init__(self, stream: AudioStream) -> None:
        self.chunks: list[Chunk] = []
        self.error: Exception | None = None
        self._stream = stream
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, name="conformance", daemon=True).start()

    def wait_for_chunk(self, timeout: float) -> bool:
        """Return whether there is a chunk or an end in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.chunks) or self._ended, timeout)

    def wait_for_end(self, timeout: float) -> bool:
        """Return whether the stream ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout)

    def _read(self) -> None:
        error: Exception | None = None
        try:
            for chunk in self._stream:
                with self._changed:
                    self.chunks.append(chunk)
                    self._changed.notify_all()
            again = next(self._stream, None)
            if again is not None:
                raise AssertionError(f"next() returned {again!r} after the end")  # noqa: TRY301
        except Exception as raised:  # noqa: BLE001  (judged by the check)
            error = raised
        with self._changed:
            self.error, self._ended = error, True
            self._changed.notify_all()
