"""A text-to-speech server in the place of OpenAI's; this is all that a plugin may import."""

import importlib
from typing import TYPE_CHECKING

from voxcpm_openai.contracts import (
    AudioFormat,
    AudioStream,
    Chunk,
    Encoder,
    Engine,
    EngineSpec,
    Options,
    Preset,
    Samples,
    Segment,
    Transcriber,
    TranscriberSpec,
    Usage,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import (
    EngineFailed,
    InvalidRequest,
    Overloaded,
    PluginError,
    RequestError,
    Unavailable,
)
from voxcpm_openai.turns import Ticket, Turns

if TYPE_CHECKING:
    from voxcpm_openai.audio import Resampler, Tempo
    from voxcpm_openai.hookspecs import hookimpl
    from voxcpm_openai.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "AudioFormat",
    "AudioStream",
    "Chunk",
    "Encoder",
    "Engine",
    "EngineFailed",
    "EngineSpec",
    "InvalidRequest",
    "Options",
    "Overloaded",
    "PluginError",
    "Preset",
    "RequestError",
    "Resampler",
    "Samples",
    "Segment",
    "Settings",
    "Tempo",
    "Ticket",
    "Transcriber",
    "TranscriberSpec",
    "Turns",
    "Unavailable",
    "Usage",
    "Utterance",
    "Voice",
    "__version__",
    "hookimpl",
]

_LATE = {"Resampler": "audio", "Settings": "settings", "Tempo": "audio", "hookimpl": "hookspecs"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what needs more than numpy at its first use: the runtime does without it."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = found
        return found
