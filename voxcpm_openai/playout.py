"""How much audio a listener still has."""

from __future__ import annotations


class PlayoutClock:
    """Tracks when a listener has played all audio that was delivered.

    The listener starts to play at the first audio, plays ``tempo`` seconds of the engine's audio
    in a second, and after an underrun plays on as soon as there is more.  Times are seconds on the
    caller's clock.  ``deadline`` is when the listener runs out of audio; before the first audio, it
    is when the request arrived.
    """

    def __init__(self, arrived: float, tempo: float = 1.0) -> None:
        """``tempo``: the factor by which the engine's audio is sped up (``Utterance.tempo``)."""
        self.deadline = arrived
        self.tempo = tempo

    def deliver(self, seconds: float, now: float) -> None:
        """Record that ``seconds`` of the engine's audio were delivered."""
        self.deadline = max(self.deadline, now) + self.playing_time(seconds)

    def playing_time(self, seconds: float) -> float:
        """Return how long the listener takes to play ``seconds`` of the engine's audio."""
        return seconds / self.tempo
