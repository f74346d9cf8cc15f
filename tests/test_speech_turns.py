"""Speech takes turns: whose listener runs dry first is changed and encoded first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.plugins.tone_engine import CHUNK, CHUNKS, RATE, ToneEngine
from tests.watched import TIMEOUT, WatchedTurns
from voxcpm_openai.contracts import AudioFormat, Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.resolve import Plan
from voxcpm_openai.speech import Speech

UTTERANCE = Utterance((Segment("Hello."),), Voice("sine", "Sine"))


class Floats:
    """Gives the samples as they are."""

    def feed(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        return b"end"

    def close(self) -> None:
        pass


class Broken(Floats):
    def feed(self, samples: Samples) -> bytes:
        raise RuntimeError("broken")


def speech(turns: WatchedTurns, encoder: Any = Floats) -> Speech:
    made = AudioFormat("floats", "audio/x", lambda rate: encoder(), lambda rate, asked: rate)
    return Speech(ToneEngine(), UTTERANCE, Plan(made, RATE), turns)


def test_nothing_is_encoded_before_its_turn(pool: ThreadPoolExecutor) -> None:
    turns = WatchedTurns(1)
    busy = turns.busy()
    with closing(speech(turns)) as spoken:
        first = pool.submit(next, spoken)
        assert turns.tickets[-1].go.awaited.wait(TIMEOUT)
        assert not spoken.seconds
        turns.give(busy)
        assert len(first.result(TIMEOUT)) == CHUNK * 4


def test_a_piece_that_is_being_written_holds_no_place() -> None:
    turns = WatchedTurns(1)
    with closing(speech(turns)) as slow, closing(speech(turns)) as quick:
        next(slow)
        assert len(b"".join(quick)) == CHUNKS * CHUNK * 4 + len(b"end")


def test_a_newcomers_turn_comes_before_that_of_a_listener_who_is_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("voxcpm_openai.speech.time", now)
    turns = WatchedTurns(1)
    with closing(speech(turns)) as ahead, closing(speech(turns)) as newcomer:
        for spoken in (ahead, ahead, newcomer, ahead):
            next(spoken)
    chunk = CHUNK / RATE
    assert turns.deadlines == pytest.approx([100.0, 100.0 + chunk, 100.0, 100.0 + 2 * chunk])


def test_a_listener_who_ran_dry_plays_on_from_what_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("voxcpm_openai.speech.time", now)
    turns = WatchedTurns(1)
    with closing(speech(turns)) as spoken:
        next(spoken)
        now.monotonic = lambda: 200.0
        next(spoken)
        next(spoken)
    assert turns.deadlines[-1] == pytest.approx(200.0 + CHUNK / RATE)


def test_cancelling_wakes_who_waits_for_a_turn(pool: ThreadPoolExecutor) -> None:
    turns = WatchedTurns(1)
    turns.busy()
    spoken = speech(turns)
    first = pool.submit(next, spoken)
    assert turns.tickets[-1].go.awaited.wait(TIMEOUT)
    spoken.cancel()
    with pytest.raises(ClientLeft):
        first.result(TIMEOUT)
    spoken.close()


def test_an_encoder_that_breaks_gives_its_place_back() -> None:
    turns = WatchedTurns(1)
    broken = speech(turns, Broken)
    with closing(broken), pytest.raises(RuntimeError, match="broken"):
        next(broken)
    assert turns.status() == {"running": 0, "waiting": 0, "streams": 0, "threads": 1}
    turns.busy()


def test_the_sound_is_all_there() -> None:
    with closing(speech(WatchedTurns(1))) as spoken:
        *pieces, end = spoken
    assert end == b"end"
    heard = np.frombuffer(b"".join(pieces), np.float32)
    assert len(heard) == CHUNKS * CHUNK
    assert spoken.seconds == pytest.approx(CHUNKS * CHUNK / RATE)
