"""Kokoro: loading, unloading, trimming and measuring, with a stand-in for the network."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.kokoro import FakeNetwork, Fakes
from voxcpm_openai.embedded.kokoro import model
from voxcpm_openai.embedded.kokoro.loudness import RATE, trim, voiced_level
from voxcpm_openai.embedded.kokoro.synthesizer import UNMEASURED, Kokoro
from voxcpm_openai.embedded.kokoro.vocabulary import LONGEST, ids_of, parts, symbols
from voxcpm_openai.errors import EngineFailed, InvalidRequest, Unavailable

VOICE = "zf_xiaobei"


def test_it_loads_at_the_first_render_and_only_once() -> None:
    fakes = Fakes()
    assert not fakes.kokoro.loaded
    fakes.kokoro.render("ni↓", VOICE)
    fakes.kokoro.render("ni↓", VOICE)
    assert fakes.kokoro.loaded
    assert len(fakes.networks) == 1


def test_a_second_caller_waits_for_the_first_to_load() -> None:
    loading, go_on, loads = threading.Event(), threading.Event(), []

    def load(*_: object) -> FakeNetwork:
        loads.append(1)
        loading.set()
        assert go_on.wait(10)
        return FakeNetwork()

    kokoro = Kokoro(loader=load)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kokoro.render, "ni↓", VOICE)
        assert loading.wait(10)
        second = pool.submit(kokoro.render, "ni↓", VOICE)
        assert not second.done()
        go_on.set()
        assert len(first.result(10)) == len(second.result(10)) > 0
    assert len(loads) == 1


def test_a_load_that_fails_is_tried_again() -> None:
    outcomes = [model.WrongModel("broken"), FakeNetwork()]

    def load(*_: object) -> FakeNetwork:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    kokoro = Kokoro(loader=load)
    with pytest.raises(EngineFailed, match="broken"):
        kokoro.render("ni↓", VOICE)
    assert len(kokoro.render("ni↓", VOICE))


def test_it_unloads_when_idle_and_loads_again() -> None:
    fakes = Fakes(idle=300)
    fakes.kokoro.render("ni↓", VOICE)
    assert (fakes.timers[-1].seconds, fakes.timers[-1].state) == (300, "waits")
    fakes.timers[-1].fire()
    assert not fakes.kokoro.loaded
    fakes.kokoro.render("ni↓", VOICE)
    assert len(fakes.networks) == 2


def test_a_render_starts_the_waiting_anew() -> None:
    fakes = Fakes(idle=300)
    fakes.kokoro.render("ni↓", VOICE)
    fakes.kokoro.render("ni↓", VOICE)
    old, new = fakes.timers
    assert (old.state, new.state) == ("cancelled", "waits")
    old.fire()  # it had begun to fire when it was cancelled
    assert fakes.kokoro.loaded


def test_it_never_unloads_without_a_time() -> None:
    fakes = Fakes()
    fakes.kokoro.load()
    assert fakes.timers == []


def test_a_real_timer_unloads() -> None:
    kokoro = Kokoro(idle=0.01, loader=lambda *_: FakeNetwork())
    kokoro.load()
    timer = kokoro._timer
    assert isinstance(timer, threading.Timer)
    timer.join(10)
    assert not timer.is_alive()
    assert not kokoro.loaded


def test_nothing_is_rendered_after_close() -> None:
    fakes = Fakes(idle=300)
    fakes.kokoro.load()
    fakes.kokoro.close()
    fakes.kokoro.close()
    assert not fakes.kokoro.loaded
    assert fakes.timers[-1].state == "cancelled"
    with pytest.raises(Unavailable, match="stopped"):
        fakes.kokoro.render("ni↓", VOICE)


def test_the_speed_follows_the_renders() -> None:
    fakes = Fakes(step=0.05)
    fakes.kokoro.load()
    assert fakes.kokoro.real_time_factor is None
    assert fakes.kokoro.capacity == UNMEASURED
    fakes.kokoro.render("ni↓", VOICE)
    first = fakes.kokoro.real_time_factor
    assert first is not None
    assert fakes.kokoro.capacity == int(0.85 / first) > 1
    fakes.step = 100
    fakes.kokoro.render("ni↓", VOICE)
    slower = fakes.kokoro.real_time_factor
    assert slower is not None
    assert slower > first
    assert fakes.kokoro.capacity == 1


def test_a_long_render_counts_for_more_than_a_short_one() -> None:
    fakes = Fakes(step=0.1)
    fakes.kokoro.render("ni↓", VOICE)
    fakes.kokoro.render("ni↓xau↓ " * 20, VOICE)
    long = fakes.kokoro.real_time_factor
    fakes.kokoro.render("ni↓", VOICE)
    after = fakes.kokoro.real_time_factor
    assert long is not None
    assert after is not None
    short = 0.1 / (len(fakes.kokoro.render("ni↓", VOICE)) / RATE)
    assert long < after < (long + short) / 2


def test_silence_is_trimmed_to_30_ms() -> None:
    fakes = Fakes()
    samples = fakes.kokoro.render("ni↓xau↓", VOICE)
    tone = 7 * 1_200
    assert tone <= len(samples) <= tone + 2 * 720 + 2 * 240
    assert not len(trim(np.zeros(4_800, np.float32)))
    assert not len(trim(np.zeros(10, np.float32)))


@pytest.mark.parametrize("phonemes", ["", " ", "?!", "…, .", "\0\ud800", "你好", "→↓"])
def test_what_has_no_sound_is_no_samples_and_loads_nothing(phonemes: str) -> None:
    fakes = Fakes()
    assert not len(fakes.kokoro.render(phonemes, VOICE))
    assert not fakes.kokoro.loaded


def test_an_unknown_voice_is_refused_before_loading() -> None:
    fakes = Fakes()
    with pytest.raises(InvalidRequest, match="no voice 'zf_xiaoni'"):
        fakes.kokoro.render("ni↓", "zf_xiaoni")
    assert not fakes.kokoro.loaded


def test_long_phonemes_are_synthesized_in_parts() -> None:
    fakes = Fakes()
    fakes.kokoro.render("ni↓ xau↓, " * 200, VOICE)
    lengths = fakes.networks[0].lengths[1:]  # the first is the measurement
    assert len(lengths) > 1
    assert max(lengths) <= LONGEST


@pytest.mark.parametrize("phonemes", ["a" * 2_000, "a b " * 500, "ab, c. " * 300, " " * 1_200, ""])
def test_parts_hold_everything(phonemes: str) -> None:
    cut = list(parts(phonemes))
    assert "".join(cut) == phonemes
    assert all(len(part) <= LONGEST for part in cut)


def test_the_vocabulary_is_kokoros() -> None:
    assert len(symbols()) == len(set(symbols().values())) == 114
    assert max(symbols().values()) == 177
    assert ids_of("a→你z") == [43, 171, 68]


def test_the_level_of_voiced_parts_leaves_silence_out() -> None:
    tone = np.sin(np.arange(24_000) / 10).astype(np.float32)
    padded = np.pad(tone, 24_000)
    assert voiced_level(padded) == pytest.approx(voiced_level(tone), abs=0.1)
    assert voiced_level(tone) == pytest.approx(-3.0, abs=0.1)
    assert voiced_level(np.zeros(4_800, np.float32)) == -np.inf
