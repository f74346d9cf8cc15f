"""What the bytes of a response come from: an engine, a file, or a request like it."""

from __future__ import annotations

from typing import Protocol, Self


class Source(Protocol):
    """The bytes of a speech, as they are sent.  One thread at a time iterates."""

    @property
    def seconds(self) -> float:
        """The audio so far, in seconds."""

    @property
    def progress(self) -> float:
        """The part of the text that was said, from 0 to 1."""

    @property
    def whole(self) -> bool:
        """Whether all of it was made, without an error."""

    def __iter__(self) -> Self:
        """Return itself."""

    def __next__(self) -> bytes:
        """Return the next bytes.  Raises RequestError; ClientLeft after ``cancel``."""

    def cancel(self) -> None:
        """End the work from any thread; wakes a waiting ``next``."""

    def close(self) -> None:
        """Cancel and free everything; while no thread is in ``next``.  May be called twice."""


class Maker(Source, Protocol):
    """A source whose work begins with ``open``."""

    def open(self) -> None:
        """Begin.  Raises RequestError for what concerns this request only, such as its limits."""
