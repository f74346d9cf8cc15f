"""A job: one segment of an utterance, as a row of the batch."""

from __future__ import annotations

import enum
import math
import random
import unicodedata
from dataclasses import dataclass
from typing import Protocol, Self

from voxcpm_openai.contracts import Samples, Segment
from voxcpm_openai.runtime.engine.silence import SilenceTrimmer

RETRIES = 2
"""How often a failed attempt at a segment is retried."""
MAX_SILENCE = 2.0
"""Seconds of silence within a segment after which the attempt has failed."""
MIN_PATCHES = 4
"""A stop flag before this patch is ignored, as in the model's own code."""


class JobState(enum.Enum):
    """WAITING for a slot, LIVE in one, or ended in one of three ways.  Set by the scheduler."""

    WAITING = "waiting"
    LIVE = "live"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PreparedSegment(Protocol):
    """What the runner prepared for a segment: token ids, the speaker's prompt and the like.

    The engine reads only these two properties.
    """

    @property
    def tokens(self) -> int:
        """Tokens of text, for ``Usage``; at least 1."""

    @property
    def room(self) -> int:
        """The number of patches that fit into a slot beside the text and the prompts."""


@dataclass(frozen=True, slots=True)
class LengthEstimate:
    """The length of a segment in patches of ``patch_seconds``: its minimum, expectation, maximum.

    A stop flag before ``min_patches`` is ignored; at ``max_patches`` the segment ends without one.
    """

    patch_seconds: float
    min_patches: int
    expected_patches: int
    max_patches: int

    @classmethod
    def of(cls, text: str, patch_seconds: float, room: int) -> Self:
        """Estimate the length of a text for a slow speaker; ``room``: the most patches that fit."""
        seconds = sum(_seconds(character) for character in text)
        expected = math.ceil(seconds / patch_seconds)
        longest = math.ceil((2.5 * seconds + 2.0) / patch_seconds)
        return cls(
            patch_seconds,
            MIN_PATCHES,
            max(MIN_PATCHES, expected),
            min(room, max(MIN_PATCHES, longest)),
        )


def _seconds(character: str) -> float:
    """Return the approximate duration of a character: a digit is a word, a wide one a syllable."""
    if character.isdigit():
        return 0.5
    if unicodedata.east_asian_width(character) in "WF":
        return 0.22
    # Signs such as % and $ are words, too; punctuation is a pause.
    return 0.4 if unicodedata.category(character)[0] == "S" else 0.07


class Job:
    """A segment in the batch: its inputs, and the audio made so far.

    Only the engine's thread changes it.  ``after`` is the job of the same utterance that must be
    done before this one starts; ``continuation`` is what the runner made of that one, or of the
    first job of an earlier stream.  ``leads``: later jobs get what the runner makes of this one.
    ``patches`` counts the patches of this attempt; ``ended`` tells that the last of them was
    launched, although its audio may still be in flight; ``reading``, that its prompt is still to be
    read before it can be stepped.
    """

    def __init__(
        self,
        index: int,
        segment: Segment,
        prepared: PreparedSegment,
        length: LengthEstimate,
        rate: int,
        *,
        root_seed: int,
        cfg: float = 2.0,
        steps: int = 10,
        after: Job | None = None,
        leads: bool = False,
        continuation: object = None,
    ) -> None:
        """``index``: of the segment, those of earlier streams of the text included.

        ``rate`` in Hz; ``root_seed``: the seed of the utterance.
        ``cfg``: the guidance scale; ``steps``: of the flow-matching solver.
        """
        self.index = index
        self.prepared = prepared
        self.length = length
        self.cfg = cfg
        self.steps = steps
        self.after = after
        self.leads = leads
        self.continuation = continuation
        self.state = JobState.WAITING
        self.reading = False
        self.retries = RETRIES
        self._segment = segment
        self._rate = rate
        self._root_seed = root_seed
        self._delivered = 0  # samples
        self._start_attempt()

    def _start_attempt(self) -> None:
        self.patches = 0
        self.ended = False
        self._stopped = False  # by the model's stop flag
        self._in_flight = 0  # patches whose audio has not arrived
        self._trimmer = SilenceTrimmer(self._rate, self._segment.pause)
        self._buffer: list[Samples] = []
        self._buffered = 0  # samples in _buffer

    @property
    def seed(self) -> int:
        """The seed of this attempt, from 0 to 2**63 - 1.  All its noise is drawn from it."""
        return seed_of(self._root_seed, self.index, RETRIES - self.retries)

    @property
    def buffered_seconds(self) -> float:
        """The seconds of audio that are buffered or in flight, and not delivered."""
        return self._buffered / self._rate + self._in_flight * self.length.patch_seconds

    @property
    def remaining_seconds(self) -> float:
        """The seconds of audio that are not delivered: exact when done, expected before."""
        if self.state is JobState.DONE:
            return self.buffered_seconds
        expected = self.length.expected_patches * self.length.patch_seconds
        return max(expected - self._delivered / self._rate, self.buffered_seconds)

    @property
    def patches_left(self) -> int:
        """The expected number of patches that are still to be made, at least 1."""
        return max(1, self.length.expected_patches - self.patches)

    def count_patch(self, stopped: bool) -> None:
        """Count a patch whose audio is in flight; ``stopped`` is the model's stop flag."""
        self.patches += 1
        self._in_flight += 1
        self._stopped = stopped and self.patches >= self.length.min_patches
        self.ended = self._stopped or self.patches >= self.length.max_patches

    def append_audio(self, samples: Samples) -> JobState:
        """Take a patch's audio; return LIVE, DONE, or WAITING if the attempt failed.

        A failed attempt is retried with another seed, unless some of it has been delivered.
        """
        self._in_flight -= 1
        self._append(self._trimmer.feed(samples))
        if self.retries and not self._delivered and self._failed_attempt():
            self.retries -= 1
            self._start_attempt()
            return JobState.WAITING
        if not self.ended:
            return JobState.LIVE
        self._append(self._trimmer.finish())
        return JobState.DONE

    def pop_audio(self) -> list[Samples]:
        """Return the buffered audio for delivery."""
        buffer, self._buffer = self._buffer, []
        self._delivered += self._buffered
        self._buffered = 0
        return buffer

    def _failed_attempt(self) -> bool:
        if self.ended:
            return not (self._stopped and self._trimmer.has_sound)
        return self._trimmer.silence > MAX_SILENCE

    def _append(self, samples: Samples) -> None:
        if len(samples):
            self._buffer.append(samples)
            self._buffered += len(samples)


def seed_of(root_seed: int, index: int, attempt: int) -> int:
    """Return the seed of an attempt at a segment, 0 to 2**63 - 1; the same on every machine."""
    return random.Random(f"{root_seed}/{index}/{attempt}").getrandbits(63)
