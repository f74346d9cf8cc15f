"""A text-to-speech server in the place of OpenAI's; this is all that a plugin may import."""

from voxcpm_openai.audio import Resampler, Tempo
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
    Usage,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import InvalidRequest, PluginError, RequestError, Unavailable
from voxcpm_openai.hookspecs import hookimpl
from voxcpm_openai.settings import Settings
from voxcpm_openai.turns import Ticket, Turns

__version__ = "0.1.0"

__all__ = [
    "AudioFormat",
    "AudioStream",
    "Chunk",
    "Encoder",
    "Engine",
    "EngineSpec",
    "InvalidRequest",
    "Options",
    "PluginError",
    "Preset",
    "RequestError",
    "Resampler",
    "Samples",
    "Segment",
    "Settings",
    "Tempo",
    "Ticket",
    "Turns",
    "Unavailable",
    "Usage",
    "Utterance",
    "Voice",
    "__version__",
    "hookimpl",
]
