from __future__ import annotations

import gc
import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.hearing.stock import load_plugin
from tests.watched import TIMEOUT, WatchedTurns
from voxcpm_openai import InvalidRequest, Segment, Settings, Turns, Unavailable, Utterance, Voice

plugin: Any = load_plugin("hibari_engine")

PLAIN = Voice("plain", "Plain", options={"hibari": {}})


@pytest.fixture(scope="module")
def engine() -> Any:
    return plugin.start(Settings(threads=2))


@pytest.fixture(scope="module")
def hibari() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)


def utterance(*texts: str, pause: float = 0.0, **changes: Any) -> Utterance:
    segments = tuple(Segment(text, pause) for text in texts)
    return Utterance(segments, **{"voice": PLAIN, "seed": 7, **changes})


def spoken(engine: Any, *texts: str, **changes: Any) -> np.ndarray:
    return np.concatenate([c.samples for c in engine.speak(utterance(*texts, **changes))])


def shaped(engine: Any, **options: object) -> np.ndarray:
    voice = Voice("shaped", "Shaped", options={"hibari": options})
    return spoken(engine, "We were away all year long.", voice=voice)


def high_share(samples: np.ndarray, above: float) -> float:
    """Return the share of the energy that lies above a frequency."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / 24_000) > above].sum() / power.sum())


# Streams and their turns


def test_a_new_stream_is_due_at_its_arrival_and_a_running_one_when_its_sound_ends(
    hibari: Any,
) -> None:
    turns = WatchedTurns(1)
    before = time.monotonic()
    stream = plugin.HibariStream(hibari, turns, utterance("One.", "Two.", "Three."))
    after = time.monotonic()
    made = {0: 0.0, 1: 0.0, 2: 0.0}
    for chunk in stream:
        made[chunk.segment] += len(chunk.samples) / 24_000
    end = time.monotonic()
    arrived, second, third = turns.deadlines
    assert before <= arrived <= after
    assert after + made[0] <= second <= end + made[0]
    assert third - second == pytest.approx(made[1])


def test_close_wakes_a_next_that_waits_for_its_turn(hibari: Any, pool: ThreadPoolExecutor) -> None:
    turns = WatchedTurns(1)
    busy = turns.busy()
    stream = plugin.HibariStream(hibari, turns, utterance("Hello."))
    chunk = pool.submit(next, stream, "the end")
    assert turns.tickets[-1].go.awaited.wait(TIMEOUT)
    stream.close()
    assert chunk.result(TIMEOUT) == "the end"
    stream.close()
    turns.give(busy)
    assert turns.status()["running"] == turns.status()["waiting"] == 0


def test_a_closed_stream_ends_before_its_first_chunk_and_between_chunks(engine: Any) -> None:
    for heard in (0, 1, 2):
        stream = engine.speak(utterance("Good morning to all of you.", "And good night."))
        assert len(list(itertools.islice(stream, heard))) == heard
        stream.close()
        assert next(stream, None) is None
        assert engine.status()["streams"] == engine.status()["running"] == 0


def test_sound_that_is_made_while_the_stream_is_closed_is_thrown_away(
    hibari: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = WatchedTurns(1)
    stream = plugin.HibariStream(hibari, turns, utterance("Hello."))
    real_trim = plugin.trim

    def closing(samples: Any) -> Any:
        stream.close()
        return real_trim(samples)

    monkeypatch.setattr(plugin, "trim", closing)
    assert next(stream, None) is None
    assert turns.status()["running"] == 0


def test_a_fault_at_work_gives_the_turn_back(hibari: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(samples: Any) -> Any:
        raise MemoryError

    turns = WatchedTurns(1)
    monkeypatch.setattr(plugin, "trim", failing)
    with pytest.raises(MemoryError):
        next(plugin.HibariStream(hibari, turns, utterance("Hello.")))
    assert turns.status() == {"running": 0, "waiting": 0, "streams": 0, "threads": 1}


def test_stop_ends_waiting_and_running_streams_with_unavailable(
    hibari: Any, pool: ThreadPoolExecutor
) -> None:
    engine = plugin.HibariEngine(hibari, 1)
    running = engine.speak(utterance("Good morning to all of you."))
    next(running)
    closed = engine.speak(utterance("Hello."))
    closed.close()
    engine.stop()
    with pytest.raises(Unavailable, match="stopped"):
        next(running)
    assert next(closed, None) is None
    with pytest.raises(Unavailable, match="stopped"):
        engine.speak(utterance("Hello."))

    turns = WatchedTurns(1)
    turns.busy()
    waiting = pool.submit(next, plugin.HibariStream(hibari, turns, utterance("Hello.")))
    assert turns.tickets[-1].go.awaited.wait(TIMEOUT)
    turns.shut_down()
    with pytest.raises(Unavailable, match="stopped"):
        waiting.result(TIMEOUT)


# Sound


def test_a_seed_fixes_every_bit(engine: Any) -> None:
    texts = ("The first part.", "The second part.")
    once = spoken(engine, *texts)
    assert np.array_equal(once, spoken(engine, *texts))
    assert not np.array_equal(once, spoken(engine, *texts, seed=8))


def test_without_a_seed_no_two_are_the_same(engine: Any) -> None:
    once, again = (spoken(engine, "Hello.", seed=None) for _ in range(2))
    assert not np.array_equal(once, again)


def test_a_segment_sounds_the_same_whatever_came_before_it(engine: Any) -> None:
    first, second = (
        [c.samples for c in engine.speak(utterance(text, "World.")) if c.segment == 1]
        for text in ("Hello.", "A longer beginning.")
    )
    assert np.array_equal(np.concatenate(first), np.concatenate(second))


def test_equal_segments_of_one_text_do_not_share_their_noise(engine: Any) -> None:
    chunks = list(engine.speak(utterance("Hello.", "Hello.")))
    first, second = (
        np.concatenate([c.samples for c in chunks if c.segment == number]) for number in (0, 1)
    )
    assert not np.array_equal(first[:9000], second[:9000])


def test_streams_do_not_disturb_each_other(engine: Any, pool: ThreadPoolExecutor) -> None:
    texts = ("It was a bright cold day.", "The clocks were striking.", "Nobody knew why.")
    alone = spoken(engine, *texts)
    together = [pool.submit(spoken, engine, *texts) for _ in range(4)]
    assert all(np.array_equal(alone, future.result(TIMEOUT)) for future in together)


def test_sound_comes_in_small_chunks_that_name_their_segment(engine: Any) -> None:
    chunks = list(engine.speak(utterance("Good morning to all of you.", "And good night.")))
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    for number in (0, 1):
        *full, last = [c.samples for c in chunks if c.segment == number]
        assert full
        assert {len(samples) for samples in full} == {3840}
        assert 0 < len(last) <= 3840
    assert {c.samples.dtype for c in chunks} == {np.dtype(np.float32)}


def test_pauses_are_silence(engine: Any) -> None:
    without, paused = spoken(engine, "One."), spoken(engine, "One.", pause=0.6)
    assert np.array_equal(paused[: len(without)], without)
    assert np.array_equal(paused[len(without) :], np.zeros(round(0.6 * 24_000)))


def test_silence_at_the_ends_of_a_segment_is_cut_to_a_short_edge(engine: Any) -> None:
    loud = np.flatnonzero(np.abs(spoken(engine, "Hello.")) > 0.01)
    whole = len(spoken(engine, "Hello."))
    assert 240 < loud[0] < 2400
    assert 240 < whole - loud[-1] < 2400
    samples = np.concatenate([np.zeros(9600), np.ones(4800), np.zeros(9600)]).astype(np.float32)
    assert len(plugin.trim(samples)) == 720 + 4800 + 720


def test_trimmed_ends_are_faded() -> None:
    trimmed = plugin.trim(np.full(4800, 0.5, np.float32))
    assert trimmed[0] == trimmed[-1] == 0
    assert np.all(np.abs(np.diff(trimmed)) < 0.01)


def test_speed_is_left_to_time_stretching(engine: Any) -> None:
    assert engine.native_speed == (1.0, 1.0)


def test_every_allowed_voice_suits_the_network() -> None:
    (slow, fast), (low, high) = plugin.LIMITS["pace"], plugin.LIMITS["formant"]
    assert slow / high >= 0.5
    assert fast / low <= 2.0


def test_a_lone_full_stop_speaks(engine: Any) -> None:
    stream = engine.speak(utterance("."))
    assert sum(len(chunk.samples) for chunk in stream) > 2400
    assert stream.usage.input_tokens == 1


def test_usage_counts_phonemes_and_patches(engine: Any) -> None:
    stream = engine.speak(utterance("Good morning.", "Good night."))
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (1, 1)
    samples = sum(len(chunk.samples) for chunk in stream)
    assert 15 < stream.usage.input_tokens < 40
    assert 0 <= stream.usage.output_tokens * 1920 - samples < 1920


def test_text_without_anything_speakable_is_refused_at_the_first_chunk(engine: Any) -> None:
    stream = engine.speak(utterance("$", "你好", pause=0.5))
    with pytest.raises(InvalidRequest, match="nothing in this text") as caught:
        next(stream)
    assert caught.value.param == "input"
    assert engine.status()["streams"] == engine.status()["running"] == 0


def test_unspeakable_segments_leave_their_pauses(engine: Any) -> None:
    plain = spoken(engine, "One.")
    mixed = spoken(engine, "$", "$", "One.", "$", pause=0.5)
    assert len(mixed) == pytest.approx(len(plain) + 4 * 12_000, rel=0.05)
    assert not mixed[:24_000].any()
    assert not mixed[-24_000:].any()


# Voices


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"pich": 0.8}, "options.hibari.pich: no such option; there are pitch, formant,"),
        ({"pitch": 0.2}, "options.hibari.pitch = 0.2: not a number from 0.4 to 2."),
        ({"formant": 1.2}, "options.hibari.formant = 1.2: not a number from 0.8 to 1.1."),
        ({"pace": "slow"}, "options.hibari.pace = 'slow': not a number from 0.6 to 1.6."),
        ({"gain": True}, "options.hibari.gain = True: not a number from -12 to 12."),
        ({"breath": float("nan")}, "options.hibari.breath = nan: not a number"),
    ],
)
def test_a_wrong_option_of_a_voice_is_named(engine: Any, options: Any, fault: str) -> None:
    voice = Voice("odd", "Odd", options={"hibari": options})
    with pytest.raises(InvalidRequest) as caught:
        engine.speak(utterance("Hello.", voice=voice))
    assert caught.value.message.startswith(f"Voice 'odd': {fault}")
    assert caught.value.param == "voice"
    assert engine.status()["streams"] == 0


def test_retuning_scales_pitch_and_melody_of_voiced_frames_only() -> None:
    f0 = np.array([0, 100, 400, 0, 30], np.float32)
    voiced = f0 > 40
    assert plugin.retune(f0, voiced, 0.5, 1.0) == pytest.approx([0, 50, 200, 0, 30])
    narrow = plugin.retune(f0, voiced, 1.0, 0.5)
    assert narrow == pytest.approx([0, 200 / 2**0.5, 200 * 2**0.5, 0, 30])
    assert plugin.retune(f0, voiced, 0.1, 1.0)[voiced].min() > 40


def test_the_tone_between_harmonics_is_drawn_from_the_harmonics() -> None:
    f0 = np.array([200, 0], np.float32)  # harmonics at bins 10, 20, ...
    slope = np.arange(601, dtype=np.float32)[:, None].repeat(2, axis=1) / 100
    lh, th = slope.copy(), slope.copy()
    lh[5::10] = 9  # what is asked for where there is no source
    drawn, phases = plugin.between_harmonics(lh, th, f0, f0 > 40)
    assert drawn[10:, 0] == pytest.approx(slope[10:, 0], abs=1e-5)
    assert drawn[:10, 0] == pytest.approx(np.full(10, slope[10, 0]))
    assert phases[[16, 20, 24], 0] == pytest.approx(slope[20, 0])
    assert np.array_equal(drawn[:, 1], lh[:, 1])
    assert np.array_equal(phases[:, 1], th[:, 1])


@pytest.mark.parametrize("pitch", [0.5, 0.7, 1.4])
def test_another_pitch_is_as_loud(engine: Any, pitch: float) -> None:
    level = np.sqrt(np.mean(shaped(engine, pitch=pitch) ** 2) / np.mean(shaped(engine) ** 2))
    assert abs(20 * np.log10(level)) < 3


def test_formants_colour_the_sound_and_leave_its_length(engine: Any) -> None:
    plain, dark = shaped(engine), shaped(engine, formant=0.82)
    assert len(dark) == pytest.approx(len(plain), rel=0.1)  # without care: 1 / 0.82
    assert high_share(dark, 2500) < 0.8 * high_share(plain, 2500)


def test_breath_is_noise_in_the_tone(engine: Any) -> None:
    once, again = (shaped(engine, breath=breath) for breath in (-10, 10))
    assert len(once) == pytest.approx(len(again), rel=0.05)
    assert high_share(again, 5000) > 1.5 * high_share(once, 5000)


def test_pace_and_gain_do_what_they_say(engine: Any) -> None:
    plain, slow = shaped(engine), shaped(engine, pace=0.7)
    assert len(plain) / len(slow) == pytest.approx(0.7, rel=0.08)
    louder = shaped(engine, gain=6)
    level = np.sqrt(np.mean(louder**2) / np.mean(plain**2))
    assert 20 * np.log10(level) == pytest.approx(6, abs=0.1)


def test_no_sample_reaches_full_scale(engine: Any) -> None:
    assert 0.9 < np.abs(shaped(engine, gain=12)).max() < 1


# The plugin


def test_the_plugin_registers_the_engine_and_its_model_id() -> None:
    (spec,) = plugin.register_engines()
    (preset,) = plugin.register_presets()
    assert (spec.name, preset.id, preset.engine) == ("hibari", "hibari", "hibari")
    assert spec.available(Settings()) is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plugin.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name
    )
    assert "onnxruntime" in plugin.available(Settings())


def test_threads_are_the_number_of_segments_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        g2p = SimpleNamespace(oov=str)

        def __init__(self, threads: int) -> None:
            assert threads == 1

        def __call__(self, text: str, seed: int) -> None:
            pass

    monkeypatch.setattr("hibari.Hibari", Quick)
    cores = os.cpu_count() or 1
    assert plugin.start(Settings(threads=0)).status()["threads"] == cores
    assert plugin.start(Settings(threads=cores + 1)).status()["threads"] == cores + 1


def test_a_forgotten_stream_can_be_collected_while_the_lock_is_held(hibari: Any) -> None:
    """The collector runs anywhere, also in a thread that is in the midst of ``Turns``."""
    turns = Turns(1)

    def forget_and_collect() -> None:
        stream = plugin.HibariStream(hibari, turns, utterance("One.", "Two."))
        next(stream)
        stream.itself = stream  # only the collector can free it
        del stream
        with turns._lock:
            gc.collect()

    thread = threading.Thread(target=forget_and_collect, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
