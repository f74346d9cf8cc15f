"""A client of an engine in this process."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

from voxcpm_openai import Engine, Overloaded, Utterance
from voxcpm_openai.load_test import Reply


def listen(
    engine: Engine, utterance: Utterance, begun: float | None = None, lead: float | None = None
) -> Reply:
    """Take all chunks of an utterance; return the figures, with times since ``begun``, or now.

    ``lead``: seconds of audio that a player buffers before it takes no more; the longest gap then
    is the longest time for which it waited.
    """
    chunks: list[tuple[float, float]] = []
    begun = time.perf_counter() if begun is None else begun
    gap, played_until = 0.0, begun
    try:
        with closing(engine.synthesize(utterance)) as stream:
            waiting = time.perf_counter()
            for chunk in stream:
                came = time.perf_counter()
                seconds = len(chunk.samples) / engine.capabilities.sample_rate
                gap = max(gap, came - waiting) if chunks else 0.0
                chunks.append((came - begun, seconds))
                played_until = max(played_until, came) + seconds
                if lead is not None:
                    time.sleep(max(0.0, played_until - lead - time.perf_counter()))
                waiting = time.perf_counter()
    except Overloaded:
        return Reply("refused")
    return replace(Reply.of(chunks), longest_gap=gap)
