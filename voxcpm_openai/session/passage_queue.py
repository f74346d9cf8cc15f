"""The queue of passages between the thread that has text and the thread that wants audio."""

from __future__ import annotations

import threading
from collections import deque

from voxcpm_openai.errors import ClientLeft, InvalidRequest, RequestError
from voxcpm_openai.session.cutter import Cutter, Passage


class PassageQueue:
    """Cuts text into passages, which wait until they are asked for.  Any thread may use it."""

    def __init__(self, limit: int) -> None:
        """``limit``: the most characters that wait, cut or not."""
        self._limit = limit
        self._cutter = Cutter()
        self._sent: list[str] = []
        self._ready: deque[Passage] = deque()
        self._waiting = 0  # characters
        self._finished = False
        self._error: RequestError | None = None
        self._changed = threading.Condition()
        self.idle = True
        """Whether there is nothing to do before more text comes."""

    @property
    def text(self) -> str:
        """All text so far."""
        with self._changed:
            return "".join(self._sent)

    @property
    def waiting(self) -> int:
        """The number of characters that wait."""
        return self._waiting

    @property
    def ready(self) -> bool:
        """Whether a passage waits."""
        return bool(self._ready)

    @property
    def ended(self) -> bool:
        """Whether the text has ended, and nothing that waits has a sound."""
        with self._changed:
            return self._finished and all(one.silent or one.text.isspace() for one in self._ready)

    def append(self, text: str, timeout: float) -> None:
        """Add text; wait up to ``timeout`` seconds for room.

        Raises InvalidRequest if there is none, and after ``finish``; what ``close`` was given.
        """
        with self._changed:
            if len(text) <= self._limit:
                self._changed.wait_for(lambda: self._error or self._has_room(text), timeout)
            self._check_open()
            if not self._has_room(text):
                raise self._refusal(len(text))
            self._sent.append(text)
            self._waiting += len(text)
            self._add(self._cutter.append(text))

    def flush(self, *, last: bool = False) -> None:
        """Let nothing wait for more text; ``last``: there is none.  Raises as ``append``."""
        with self._changed:
            self._check_open()
            self._finished = last
            self._add(self._cutter.flush(last=last))

    def next(self) -> Passage | None:
        """Wait for the next passage; None at the end.  Raises what ``close`` was given."""
        with self._changed:
            self.idle = not (self._ready or self._finished)
            self._changed.wait_for(lambda: self._error or self._ready or self._finished)
            self.idle = self._error is not None
            if self._error is not None:
                raise self._error
            if not self._ready:
                return None
            passage = self._ready.popleft()
            self._waiting -= len(passage.text)
            self._changed.notify_all()
            return passage

    def close(self, error: RequestError | None = None) -> None:
        """Refuse everything from now on, with an error (ClientLeft); the first one stays."""
        with self._changed:
            self._error = self._error or error or ClientLeft()
            self.idle = True
            self._changed.notify_all()

    def _refusal(self, length: int) -> InvalidRequest:
        if length > self._limit:
            problem = f"The text has {length} characters; at most {self._limit} are allowed."
        else:
            problem = (
                f"{self._waiting} characters of this session wait to be spoken; with these "
                f"{length} they would be more than {self._limit}. Send them later."
            )
        return InvalidRequest(
            f"{problem} (The operator sets the limit: VOXCPM_MAX_INPUT_CHARS.)", param="input"
        )

    def _has_room(self, text: str) -> bool:
        return self._waiting + len(text) <= self._limit

    def _add(self, passages: list[Passage]) -> None:
        self._ready.extend(passages)
        self.idle = self.idle and not passages and not self._finished
        self._changed.notify_all()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._finished:
            raise InvalidRequest("The text of this session has ended.", param="input")
