"""Kokoro's voices: ids, mixes, and the styles in the package."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support.stock import hibari_voices
from voxcpm_openai.contracts import Voice
from voxcpm_openai.embedded.kokoro import voices
from voxcpm_openai.embedded.kokoro.speaker import style_of
from voxcpm_openai.errors import InvalidRequest


@pytest.mark.parametrize("id_", voices.ids())
def test_each_voice_has_styles_of_its_own(id_: str) -> None:
    style = voices.style(id_, 40)
    assert style.shape == (1, 256)
    assert style.dtype == np.float32
    assert np.isfinite(style).all()
    others = [voices.style(other, 40) for other in voices.ids() if other != id_]
    assert min(float(np.abs(style - other).max()) for other in others) > 0.05


@pytest.mark.parametrize("phonemes", [0, 1, 4, 5, 509, 510, 9_999])
def test_each_number_of_phonemes_has_a_style(phonemes: int) -> None:
    assert np.isfinite(voices.style("af_heart", phonemes)).all()


def test_styles_between_rows_are_interpolated() -> None:
    row, middle, next_row = (voices.style("af_heart", count) for count in (101, 103, 105))
    np.testing.assert_allclose(middle, (row + next_row) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mix"),
    [
        ("af_bella", {"af_bella": 1}),
        ("af_bella+af_sky", {"af_bella": 0.5, "af_sky": 0.5}),
        ("af_bella(2)+bm_george(1)", {"af_bella": 2 / 3, "bm_george": 1 / 3}),
        (" af_bella (0.5) + af_sky(1.5) ", {"af_bella": 0.25, "af_sky": 0.75}),
        ("af_bella+af_bella", {"af_bella": 1}),
        ("af_bella(0)+af_sky", {"af_sky": 1}),
        ("af_bella(3)+af_sky", {"af_bella": 0.75, "af_sky": 0.25}),
    ],
)
def test_mixes(name: str, mix: dict[str, float]) -> None:
    assert dict(voices.parse(name)) == pytest.approx(mix)


def test_a_mix_is_the_mean_of_its_styles() -> None:
    a, b = voices.style("af_bella", 30), voices.style("af_sky", 30)
    np.testing.assert_allclose(
        voices.style("af_bella(2)+af_sky(1)", 30), (2 * a + b) / 3, atol=1e-6
    )
    assert 20 * np.log10(voices.gain("af_bella+af_sky")) == pytest.approx(
        (voices.gains()["af_bella"] + voices.gains()["af_sky"]) / 2
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zf_xiaoni", "no voice 'zf_xiaoni'; it has af_alloy, af_bella"),
        ("af_bella+af_nobody", "no voice 'af_nobody'"),
        ("af_bella(0)", "must not all be 0"),
        ("af_bella++af_sky", "write a mix as"),
        ("af_bella(-1)+af_sky", "write a mix as"),
        ("af_bella(nan)", "write a mix as"),
        ("af_bella(1e9)", "write a mix as"),
        ("", "write a mix as"),
        ("../af_bella", "write a mix as"),
        ("+".join(["af_bella"] * 9), "at most 8"),
    ],
)
def test_what_is_not_a_mix_is_told(name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^Voice ") as caught:
        voices.parse(name)
    assert words in caught.value.message
    assert caught.value.param == "voice"


def test_languages() -> None:
    assert voices.language("zf_xiaobei") == voices.language("zf_xiaobei(2)+af_sky") == "zh"
    assert voices.language("em_alex") == voices.language("ef_dora(2)+af_sky") == "es"
    assert voices.language("af_sky") == voices.language("bm_george(2)+zf_xiaobei") == "en"
    assert voices.british("bm_george+bf_emma")
    assert not voices.british("af_sky")


def test_names_that_are_meant_for_kokoro() -> None:
    meant = ("af_bella", "zf_xiaoni", "ef_dora", "af_bella+af_sky", "af_bella(2)+xx_nobody")
    assert all(map(voices.looks_like, meant))
    others = ("alloy", "my_voice", "a_b", "voice_1234", "alloy+nova", "")
    assert not any(map(voices.looks_like, others))


def test_each_of_the_thirteen_names_has_speakers_of_its_own() -> None:
    styles = [style_of(voice) for voice in hibari_voices().values()]
    assert len(styles) == 13
    for language in ("en", "zh", "es"):
        assert len({(s.names[language], s.speeds[language]) for s in styles}) == 13
        for style in styles:
            name = style.names[language]
            assert voices.language(name) == language
            assert {id_[1] for id_, _ in voices.parse(name)} == {style.names["en"][1]}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"zh": "zf_nobody"}, "Kokoro has no voice 'zf_nobody'"),
        ({"zh": 7}, "options.kokoro.zh = 7: there are en, zh, es, en_speed, zh_speed, es_speed"),
        ({"speed": 1.0}, "options.kokoro.speed = 1.0: there are"),
        ({"zh_speed": 3}, "options.kokoro.zh_speed = 3: not a number from 0.5 to 2"),
        ({"zh_speed": True}, "not a number"),
        ({"es_speed": 0.1}, "options.kokoro.es_speed = 0.1: not a number from 0.5 to 2"),
    ],
)
def test_a_wrong_option_of_a_voice_is_named(options: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(fault)):
        style_of(Voice("odd", "Odd", options={"kokoro": options}))
