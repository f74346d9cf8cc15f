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
