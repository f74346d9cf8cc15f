"""The timeline: when each passage of a session is heard."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from voxcpm_openai.session.alignment import TOLERANCE, length_heard
from voxcpm_openai.session.cutter import Passage

DEFAULT_PACE = 0.055
"""Seconds for each unit of a text's ``weight`` at speed 1, before anything was said."""
_SMOOTHING = 0.3
"""The weight of the newest passage in the pace."""


@dataclass(slots=True)
class _Entry:
    """A passage; times in seconds of the session's audio.

    ``weight``: of what is said for it.  ``seconds``: of its speech, so far or, once it is
    ``ended``, altogether.
    """

    passage: Passage
    start: float
    weight: int
    expected: float
    seconds: float = 0.0
    ended: bool = False


class Timeline:
    """Keeps the passages of a session, in their order.  Any thread may use it."""

    def __init__(self, speed: float = 1.0) -> None:
        """``speed``: of the speech; it tells how long the first passage may last."""
        self._entries: list[_Entry] = []
        self._now = 0.0
        self._pace = DEFAULT_PACE / speed
        self._lock = threading.Lock()

    def start(self, passage: Passage, weight: int) -> float:
        """Begin a passage for which a text of this ``weight`` is said, 0 if nothing is.

        Return how many seconds it is expected to last.
        """
        with self._lock:
            expected = weight * self._pace
            self._entries.append(_Entry(passage, self._now, weight, expected))
            return expected

    @property
    def now(self) -> float:
        """The seconds of audio so far."""
        return self._now

    @property
    def speaking(self) -> bool:
        """Whether the current passage has speech."""
        return self._entries[-1].seconds > 0

    def add(self, seconds: float) -> float:
        """Add speech to the current passage; return how many seconds of it there are."""
        with self._lock:
            entry = self._entries[-1]
            entry.seconds += seconds
            self._now += seconds
            return entry.seconds

    def wait(self, seconds: float) -> None:
        """Add silence before the speech of the current passage."""
        with self._lock:
            self._now += seconds
            self._entries[-1].start = self._now

    def end(self, pause: float, now: float) -> tuple[float, float]:
        """End the current passage.  Return the start and the duration of its speech.

        ``pause``: after the speech, in seconds.  ``now``: the seconds of audio so far, as they were
        measured: a change of tempo makes a little less than was foreseen.
        """
        with self._lock:
            entry = self._entries[-1]
            entry.ended = True
            if entry.seconds:
                entry.seconds = max(0.001, now - pause - entry.start)
            self._now = now
            if entry.seconds and entry.weight:
                pace = entry.seconds / entry.weight
                self._pace += _SMOOTHING * (pace - self._pace)
            return entry.start, entry.seconds

    def length_heard(self, played: float) -> int:
        """Return how many characters are heard once ``played`` seconds of the audio were."""
        heard = 0
        if played <= 0:
            return heard
        with self._lock:
            for entry in self._entries:
                since = min(played, self._now) - entry.start
                if entry.ended and since + TOLERANCE >= entry.seconds:
                    heard = entry.passage.end
                    continue
                seconds = entry.seconds if entry.ended else max(entry.seconds, entry.expected)
                if since > 0:
                    heard += length_heard(entry.passage.text, seconds, since)
                break
        return heard
