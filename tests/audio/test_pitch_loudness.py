"""The embedded engine's voices are equally loud, however high or low they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxcpm_openai import Segment, Utterance, Voice

TEXT = "The quick brown fox jumps over the lazy dog."


def level(engine: Any, **shape: float) -> float:
    """Return how loud a voice of this shape speaks, in dB."""
    voice = Voice("shaped", "Shaped", options={"hibari": shape})
    utterance = Utterance((Segment(TEXT),), voice, seed=7)
    samples = np.concatenate([chunk.samples for chunk in engine.synthesize(utterance)])
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


@pytest.mark.parametrize("pitch", [0.4, 0.5, 2.0])
def test_a_voice_of_another_pitch_is_as_loud(engine: Any, pitch: float) -> None:
    """A lower voice has more harmonics; without care 0.4 is 4 dB louder, 2.0 as much softer."""
    assert level(engine, pitch=pitch) == pytest.approx(level(engine), abs=1.5)


def test_a_melody_of_another_range_is_as_loud(engine: Any) -> None:
    assert level(engine, range=0.5) == pytest.approx(level(engine), abs=1.5)
