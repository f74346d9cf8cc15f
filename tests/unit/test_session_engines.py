"""Every engine of the project speaks sessions; none of them knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support import TONE_PLUGINS
from tests.support.examples import load_example
from tests.support.sessions import Sessions, audio
from tests.support.stock import load_plugin
from voxcpm_openai.contracts import Capabilities, Chunk, Engine, Utterance
from voxcpm_openai.generator_stream import GeneratorStream
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.session import PassageEnded, SessionEnded
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.mock_runner import MockRunner
from voxcpm_openai.testing.plugins.tone_engine import CloningToneEngine, ToneEngine

TEXT = "Hello there, you. How are you today? I paid $5.50 for it, e.g. Good. "


class Scripted(Engine):
    """Speaks itself at any speed up to 2, and says each segment as a second of audio."""

    capabilities = Capabilities(sample_rate=16_000, native_speed=(0.5, 2.0), params={"seed"})

    def synthesize(self, utterance: Utterance) -> GeneratorStream:
        samples = np.full(round(16_000 / utterance.speed), 0.1, np.float32)
        return GeneratorStream(Chunk(samples, index) for index in range(len(utterance.segments)))


class Lengths(MockRunner):
    """Makes two patches of any text."""

    sample_rate = 8_000

    def prepare_segment(self, utterance: Any, segment: Any) -> Any:
        return super().prepare_segment(utterance, SimpleNamespace(text="length:2"))


ENGINES = {
    "tone": ToneEngine,
    "cloning-tone": CloningToneEngine,
    "scripted": Scripted,
    "beep": lambda: load_example("plugins/beep_engine").start(Settings()),
    "batched": lambda: BatchedEngine(
        Lengths(4), rows_per_step=4, max_waiting=100, max_wait=1e9, params={"seed"}
    ),
    "embedded": lambda: load_plugin("embedded_engine").start(Settings(threads=2)),
}


@pytest.fixture(params=ENGINES)
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    engine: Engine = ENGINES[request.param]()
    engine.name = request.param
    settings = Settings(plugins_dir=TONE_PLUGINS, data_dir=tmp_path)
    # The plugins of tests have a voice alloy, with options for their own engine.
    if request.param == "embedded":
        settings = Settings(data_dir=tmp_path)
    sessions = Sessions(engine, settings, request.param)
    with sessions.assert_freed():
        yield sessions
    engine.stop()


@pytest.mark.parametrize("format_", ["pcm", "mp3"])
def test_every_engine_speaks_a_text_that_comes_token_by_token(
    sessions: Sessions, format_: str
) -> None:
    tokens = [token + " " for token in TEXT.split()]
    events = sessions.said(tokens, response_format=format_, speed=1.5)
    assert events[-1] == SessionEnded()
    ended = [event for event in events if isinstance(event, PassageEnded)]
    assert "".join(event.passage.text for event in ended) == TEXT
    assert all(event.duration_ms > 0 for event in ended)
    assert len(audio(events)) > 1000


def test_every_engine_can_be_interrupted(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        while not isinstance(event := next(session), PassageEnded):
            pass
        done = session.interrupt(event.start_ms + event.duration_ms)
        assert done.heard == event.passage.text
        assert done.heard + done.left == TEXT
        assert list(session) == []
