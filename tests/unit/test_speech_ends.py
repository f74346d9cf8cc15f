"""The ends of a speech: whole, cancelled, failed; and what is freed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.watched_gate import WatchedGate
from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec
from voxcpm_openai.testing.plugins.tone_engine import CHUNK, CHUNKS, RATE, ToneEngine

VOICE = Voice("sine", "Sine")


class Counting:
    """Gives the samples as they are, and counts its ends."""

    def __init__(self) -> None:
        self.finished = self.closed = 0

    def feed(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        self.finished += 1
        return b"end"

    def close(self) -> None:
        self.closed += 1


class Silent(Counting):
    """Keeps everything to the end, as a codec with large frames does."""

    def feed(self, samples: Samples) -> bytes:
        return b""


class Endless(Counting):
    """Has nothing to add at its end, as PCM has."""

    def finish(self) -> bytes:
        return b""


class Parts:
    """A speech and what it is made of."""

    def __init__(self, *texts: str, encoder: Any = Counting) -> None:
        self.encoder, self.engine, self.gate = encoder(), ToneEngine(), WatchedGate(1)
        made = AudioFormat("raw", "audio/x", lambda rate: self.encoder, lambda rate, asked: rate)
        utterance = Utterance(tuple(map(Segment, texts)), VOICE)
        self.speech = Speech(self.engine, utterance, OutputSpec(made, RATE), self.gate)

    def assert_freed(self) -> None:
        assert self.engine.open == 0
        assert self.encoder.closed == 1
        assert self.gate.counts() == (0, 0, 0)


def test_a_whole_speech_ends_the_encoding_once_and_frees_all() -> None:
    parts = Parts("One.", "Two.")
    chunks = list(parts.speech)
    assert b"".join(chunks).endswith(b"end")
    assert all(chunks)
    assert parts.encoder.finished == 1
    assert parts.speech.seconds == pytest.approx(2 * CHUNKS * CHUNK / RATE)
    parts.speech.close()
    parts.assert_freed()


def test_the_segment_is_that_of_the_newest_chunk() -> None:
    speech = Parts("One.", "Two.", "Three.").speech
    segments = [speech.segment for _ in speech]
    assert segments == [0] * CHUNKS + [1] * CHUNKS + [2] * CHUNKS + [2]


def test_a_cancelled_speech_is_no_whole_one() -> None:
    """The engine's stream ends as it does at its end; no file may be completed after that."""
    parts = Parts("One.")
    next(parts.speech)
    parts.speech.cancel()
    with pytest.raises(ClientLeft):
        next(parts.speech)
    assert parts.encoder.finished == 0
    parts.speech.close()
    parts.assert_freed()


def test_a_speech_cancelled_before_its_first_chunk_is_not_called_silent() -> None:
    parts = Parts("One.")
    parts.speech.cancel()
    with pytest.raises(ClientLeft):
        next(parts.speech)
    parts.speech.close()
    parts.assert_freed()


def test_a_speech_closed_amid_its_chunks_frees_all() -> None:
    parts = Parts("One.")
    next(parts.speech)
    parts.speech.close()
    assert parts.encoder.finished == 0
    parts.assert_freed()


def test_a_speech_without_sound_is_refused() -> None:
    parts = Parts("silent")
    with pytest.raises(InvalidRequest, match="no sound"):
        next(parts.speech)
    parts.speech.close()
    parts.assert_freed()


def test_an_encoder_that_gives_nothing_before_its_end_makes_no_empty_chunk() -> None:
    assert list(Parts("One.", encoder=Silent).speech) == [b"end"]


def test_an_encoder_without_an_end_makes_no_empty_chunk() -> None:
    assert [len(chunk) for chunk in Parts("One.", encoder=Endless).speech] == [4 * CHUNK] * CHUNKS
