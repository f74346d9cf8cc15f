"""The plugin of the embedded engine, and what its streams synthesize."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.stock import load_plugin
from voxcpm_openai import Segment, Utterance, Voice

plugin: Any = load_plugin("hibari_engine")

PLAIN = Voice("plain", "Plain", options={"hibari": {}})


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": PLAIN, "seed": 7, **changes})


def synthesized(engine: Any, *texts: str, **changes: Any) -> np.ndarray:
    return np.concatenate([c.samples for c in engine.synthesize(utterance(*texts, **changes))])
