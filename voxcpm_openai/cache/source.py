"""Where the bytes of a response come from: the engine, a file, or an identical request."""

from __future__ import annotations

from typing import Protocol, Self


class Source(Protocol):
    """The bytes of a speech, as they are sent.  One thread at a time iterates."""

    @property
    def seconds(self) -> float:
        """The audio so far, in seconds."""

    @property
    def progress(self) -> float:
        """The part of the text that was synthesized, from 0 to 1."""

    @property
    def complete(self) -> bool:
        """Whether all of it was produced, without an error."""

    @property
    def hit(self) -> bool:
        """Whether no synthesis is made for this request; final after the first bytes."""

    def __iter__(self) -> Self:
        """Return itself."""

    def __next__(self) -> bytes:
        """Return the next bytes.  Raises RequestError; ClientLeft after ``cancel``."""

    def cancel(self) -> None:
        """End the work from any thread; wakes a waiting ``next``."""

    def close(self) -> None:
        """Cancel and free everything; while no thread is in ``next``.  May be called twice."""


class Producer(Source, Protocol):
    """A source whose work begins with ``open``."""

    def open(self) -> None:
        """Begin.  Raises RequestError for what concerns this request only, such as its limits."""
