"""An engine in this process, for commands that speak without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voxcpm_openai.contracts import Engine, EngineSpec
from voxcpm_openai.settings import Settings


@contextmanager
def started(spec: EngineSpec, settings: Settings) -> Iterator[Engine]:
    """Start an engine for a ``with`` block."""
    engine = spec.start(settings)
    try:
        yield engine
    finally:
        engine.stop()
