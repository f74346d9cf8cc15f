"""Voices, texts and settings for the tests of the two VoxCPM engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support import ROOT
from voxcpm_openai import AudioStream, Samples, Segment, Settings, Voice
from voxcpm_openai.setting_sources import RawSettings

CLONED = Voice(
    "alloy",
    "Alloy",
    audio=ROOT / "voices" / "alloy.flac",
    transcript="The words of the clip.",
    description="Text for the list of voices.",
)
DESIGNED = Voice("designed", "Designed", description="A low voice")
SEGMENTS = (Segment("Hello there.", 0.3), Segment("How are you?", 0.3), Segment("Fine."))
OPTIONS = {"inference_steps": 3}


def collect(stream: AudioStream) -> Samples:
    """Return all samples of a stream."""
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in stream)])


def settings_of(
    model: str | Path, *, dtype: str = "auto", device: str = "cpu", **server: Any
) -> Settings:
    """Return settings for a checkpoint; ``server``: the server's own settings."""
    environ = {"VOXCPM_MODEL": str(model), "VOXCPM_DEVICE": device, "VOXCPM_DTYPE": dtype}
    return Settings(**{"threads": 1, **server}, raw=RawSettings(environ=environ))
