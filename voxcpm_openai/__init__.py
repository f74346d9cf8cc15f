"""A self-hosted, drop-in replacement for OpenAI's text-to-speech API.

``__all__`` is the public API: what plugins may import.
"""

import importlib
from typing import TYPE_CHECKING

from voxcpm_openai.contracts import (
    AudioStream,
    Capabilities,
    Chunk,
    ContinuingStream,
    Engine,
    EngineSpec,
    EngineState,
    EngineStatus,
    Normalizer,
    Options,
    Preset,
    Pronunciation,
    Samples,
    Segment,
    Transcriber,
    TranscriberSpec,
    Usage,
    Utterance,
    Voice,
)
from voxcpm_openai.cores import available as available_cores
from voxcpm_openai.errors import (
    EngineFailed,
    InvalidRequest,
    Overloaded,
    PluginError,
    RequestError,
    SettingsError,
    Unavailable,
)
from voxcpm_openai.files import FileRefused, read_file
from voxcpm_openai.formats import AudioEncoder, AudioFormat
from voxcpm_openai.gate import DeadlineGate, Ticket
from voxcpm_openai.generator_stream import GeneratorStream
from voxcpm_openai.playout import PlayoutClock

if TYPE_CHECKING:
    from voxcpm_openai.audio import Resampler, Tempo, clip_content
    from voxcpm_openai.clips import read_clip_file
    from voxcpm_openai.hookspecs import hookimpl
    from voxcpm_openai.setting_types import plugin_settings, setting
    from voxcpm_openai.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "AudioEncoder",
    "AudioFormat",
    "AudioStream",
    "Capabilities",
    "Chunk",
    "ContinuingStream",
    "DeadlineGate",
    "Engine",
    "EngineFailed",
    "EngineSpec",
    "EngineState",
    "EngineStatus",
    "FileRefused",
    "GeneratorStream",
    "InvalidRequest",
    "Normalizer",
    "Options",
    "Overloaded",
    "PlayoutClock",
    "PluginError",
    "Preset",
    "Pronunciation",
    "RequestError",
    "Resampler",
    "Samples",
    "Segment",
    "Settings",
    "SettingsError",
    "Tempo",
    "Ticket",
    "Transcriber",
    "TranscriberSpec",
    "Unavailable",
    "Usage",
    "Utterance",
    "Voice",
    "__version__",
    "available_cores",
    "clip_content",
    "hookimpl",
    "plugin_settings",
    "read_clip_file",
    "read_file",
    "setting",
]

_LATE = {"Settings": "settings", "plugin_settings": "setting_types", "setting": "setting_types"}
_LATE |= {"Resampler": "audio", "Tempo": "audio", "hookimpl": "hookspecs"}
_LATE |= {"clip_content": "audio", "read_clip_file": "clips"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import at first use what needs more than numpy: the runtime works without it."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = found
        return found
