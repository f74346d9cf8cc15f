"""Burden: how many rows a step can carry at the speed of speech, as last seen."""

from __future__ import annotations

FADING = 0.99
"""What was seen is worth so much less at each look: it may have been bad luck, and is tried again
some time."""


class Burden:
    """Remembers how long steps took, by the number of their rows; more rows take no less."""

    def __init__(self, patch_seconds: float) -> None:
        """``patch_seconds``: how long a row's sound of one step is heard."""
        self._patch_seconds = patch_seconds
        self._took: dict[int, float] = {}

    def stepped(self, rows: int, seconds: float) -> None:
        """Note how long a step took; one that only reads texts tells nothing of rows."""
        if not rows:
            return
        for fewer in self._took:
            if fewer < rows:
                self._took[fewer] = min(self._took[fewer], seconds)
        self._took[rows] = seconds

    def bears(self, rows: int) -> bool:
        """Whether a step of so many rows takes no longer than its sound is heard, or may not."""
        slow = [
            count
            for count, seconds in self._took.items()
            if count <= rows and seconds > self._patch_seconds
        ]
        for count in slow:
            self._took[count] *= FADING
        return not slow
