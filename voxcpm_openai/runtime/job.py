"""A job: one segment of an utterance, as a row of the batch."""

from __future__ import annotations

import enum
import math
import random
import unicodedata
from dataclasses import dataclass
from typing import Protocol, Self

from voxcpm_openai.contracts import Samples, Segment
from voxcpm_openai.runtime.edges import Edges

RETRIES = 2
"""How often a segment that goes wrong unheard is made again."""
DEAD_AIR = 2.0
"""Seconds without sound, in the middle of a segment, after which it has gone wrong."""
LEAST = 4
"""Patches before which a stop does not count; the model's own code has the same."""


class State(enum.Enum):
    """Where a job stands: ``waiting`` for a slot, ``live`` in one, or ended in one of three ways.

    The scheduler alone changes it.
    """

    WAITING = "waiting"
    LIVE = "live"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Plan(Protocol):
    """What the runner made of a segment before it came into the loop; only the runner looks inside.

    Token ids, the voice's prompt and the like.
    """

    @property
    def tokens(self) -> int:
        """Tokens of text, for ``Usage``; at least 1."""

    @property
    def room(self) -> int:
        """How many patches fit into a slot behind it, and behind the prompt of a job before it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a segment is, in patches: ``least``, as good as certain; ``likely``; ``most``.

    A stop before ``least`` does not count; at ``most`` the segment ends without a stop.
    ``patch_seconds`` is the length of a patch.
    """

    patch_seconds: float
    least: int
    likely: int
    most: int

    @classmethod
    def of(cls, text: str, patch_seconds: float, room: int) -> Self:
        """Judge a text, spoken by a slow speaker; ``room``: the most patches that there may be."""
        seconds = sum(_seconds(letter) for letter in text)
        likely = math.ceil(seconds / patch_seconds)
        most = math.ceil((2.5 * seconds + 2.0) / patch_seconds)
        return cls(patch_seconds, LEAST, max(LEAST, likely), min(room, max(LEAST, most)))


def _seconds(letter: str) -> float:
    """Return about how long a character is spoken: a digit is a word, a wide one a syllable."""
    if letter.isdigit():
        return 0.5
    if unicodedata.east_asian_width(letter) in "WF":
        return 0.22
    # Signs such as % and $ are words too; punctuation is a pause.
    return 0.4 if unicodedata.category(letter)[0] == "S" else 0.07


class Job:
    """A segment on its way: what it is made of, and what has been made of it.

    The engine's thread alone changes it.  ``after``: the job of the same utterance that must be
    done before this one begins, and ``prompt`` what the runner made of that one.  ``patches``
    counts what was made since the last beginning, and ``ended`` tells that the last of them was
    the last one: its sound may still be on the way.
    """

    def __init__(
        self,
        index: int,
        segment: Segment,
        plan: Plan,
        budget: Budget,
        rate: int,
        *,
        root: int,
        cfg: float = 2.0,
        steps: int = 10,
        after: Job | None = None,
    ) -> None:
        """``index``: the place in the utterance, from 0; ``rate`` in Hz; ``root``: any seed."""
        self.index = index
        self.plan = plan
        self.budget = budget
        self.cfg = cfg
        self.steps = steps
        self.after = after
        self.prompt: object = None
        self.state = State.WAITING
        self.retries = RETRIES
        self._segment = segment
        self._rate = rate
        self._root = root
        self._heard = 0  # samples
        self._begin()

    def _begin(self) -> None:
        self.patches = 0
        self.ended = False
        self._stopped = False  # by the model
        self._awaited = 0  # patches whose sound is on the way
        self._edges = Edges(self._rate, self._segment.pause)
        self._ready: list[Samples] = []
        self._held = 0  # samples in _ready

    @property
    def seed(self) -> int:
        """The seed of this attempt, from 0 to 2**63 - 1: its noise comes from nothing else."""
        return seed_of(self._root, self.index, RETRIES - self.retries)

    @property
    def held(self) -> float:
        """The seconds that are ready or on the way, and not yet handed out."""
        return self._held / self._rate + self._awaited * self.budget.patch_seconds

    @property
    def left(self) -> float:
        """The seconds that are still to be heard: known when done, likely before."""
        if self.state is State.DONE:
            return self.held
        likely = self.budget.likely * self.budget.patch_seconds - self._heard / self._rate
        return max(likely, self.held)

    @property
    def patches_left(self) -> int:
        """The patches that are likely still to be made, at least 1."""
        return max(1, self.budget.likely - self.patches)

    def advance(self, stopped: bool) -> None:
        """Count a patch, whose sound comes with ``grow``; ``stopped``: the model says, the last."""
        self.patches += 1
        self._awaited += 1
        self._stopped = stopped and self.patches >= self.budget.least
        self.ended = self._stopped or self.patches >= self.budget.most

    def grow(self, samples: Samples) -> State:
        """Take a patch's sound; return what it brings: LIVE, DONE, or WAITING to be made again.

        Made again, with another seed, is what goes wrong while nobody has heard any of it.
        """
        self._awaited -= 1
        self._keep(self._edges.feed(samples))
        if self.retries and not self._heard and self._astray():
            self.retries -= 1
            self._begin()
            return State.WAITING
        if not self.ended:
            return State.LIVE
        self._keep(self._edges.finish())
        return State.DONE

    def take(self) -> list[Samples]:
        """Hand out what is ready: from now on this segment is heard."""
        pieces, self._ready = self._ready, []
        self._heard += self._held
        self._held = 0
        return pieces

    def _astray(self) -> bool:
        if self.ended:
            return not (self._stopped and self._edges.spoken)
        return self._edges.silence > DEAD_AIR

    def _keep(self, samples: Samples) -> None:
        if len(samples):
            self._ready.append(samples)
            self._held += len(samples)


def seed_of(root: int, index: int, attempt: int) -> int:
    """Return the seed of one attempt at one segment, from 0 to 2**63 - 1; the same everywhere."""
    return random.Random(f"{root}/{index}/{attempt}").getrandbits(63)
