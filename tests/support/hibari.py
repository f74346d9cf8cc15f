"""The plugin of the embedded engine, and what its streams synthesize."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.stock import load_plugin
from voxcpm_openai import DeadlineGate, Segment, Utterance, Voice
from voxcpm_openai.embedded.engine import EmbeddedEngine, EmbeddedStream
from voxcpm_openai.embedded.hibari import HibariSynthesizer

plugin: Any = load_plugin("embedded_engine")


def english_engine(hibari: Any, threads: int) -> EmbeddedEngine:
    """Return the embedded engine with English only."""
    return EmbeddedEngine({"en": [HibariSynthesizer(hibari, threads)]}, "embedded")


def stream_at(gate: DeadlineGate, hibari: Any, utterance: Utterance) -> EmbeddedStream:
    """Return a stream of hibari that works at a gate."""
    synthesizer = HibariSynthesizer(hibari, 1)
    synthesizer.gate = gate
    return EmbeddedStream("embedded", {"en": [synthesizer]}, utterance)


PLAIN = Voice("plain", "Plain", options={"hibari": {}})


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": PLAIN, "seed": 7, **changes})


def synthesized(engine: Any, *texts: str, **changes: Any) -> np.ndarray:
    return np.concatenate([c.samples for c in engine.synthesize(utterance(*texts, **changes))])
