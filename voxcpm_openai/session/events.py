"""The events of a session, in the order in which they come.

For each passage ``PassageStarted``, then ``AudioMade`` for each piece of audio, then
``PassageEnded``; in the end ``AudioMade`` for what the encoder still had, if anything, and
``SessionEnded``.  Or ``SessionFailed``, at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxcpm_openai.errors import RequestError
from voxcpm_openai.session.alignment import Alignment
from voxcpm_openai.session.cutter import Passage


@dataclass(frozen=True, slots=True)
class PassageStarted:
    """A passage begins, ``start_ms`` milliseconds after the beginning of the session's audio."""

    passage: Passage
    start_ms: int


@dataclass(frozen=True, slots=True)
class AudioMade:
    """Encoded audio; with all of the session's before and after it, it is one stream.

    ``passage``: the number of its passage.  ``alignment``: the characters that are heard in it,
    as far as the duration of the passage can be foreseen; all alignments of a passage together
    have its whole text.  ``data`` may be empty in the last of a passage, if characters are left.
    """

    data: bytes
    passage: int
    start_ms: int
    duration_ms: int
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class PassageEnded:
    """The audio of a passage is complete; its pause comes after ``duration_ms``.

    ``alignment``: the whole passage over its true duration.  A passage with nothing to say, such
    as an emoji, has none.
    """

    passage: Passage
    start_ms: int
    duration_ms: int
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Everything was said."""


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session cannot go on."""

    error: RequestError


SessionEvent = PassageStarted | AudioMade | PassageEnded | SessionEnded | SessionFailed


@dataclass(frozen=True, slots=True)
class Interruption:
    """The text of a session that was interrupted: what was heard, and what was not."""

    heard: str
    left: str
