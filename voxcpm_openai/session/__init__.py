"""Sessions: text comes piece by piece, as a language model writes it; audio goes out meanwhile."""

from voxcpm_openai.session.alignment import Alignment
from voxcpm_openai.session.cutter import Passage
from voxcpm_openai.session.events import (
    AudioMade,
    Interruption,
    PassageEnded,
    PassageStarted,
    SessionEnded,
    SessionEvent,
    SessionFailed,
)
from voxcpm_openai.session.session import SpeechSession

__all__ = [
    "Alignment",
    "AudioMade",
    "Interruption",
    "Passage",
    "PassageEnded",
    "PassageStarted",
    "SessionEnded",
    "SessionEvent",
    "SessionFailed",
    "SpeechSession",
]
