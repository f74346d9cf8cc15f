"""Settings of the stock voices for hibari that damage a voice, as predictors rate it, stay out.

``tools/rate_voices.py`` rates them; it needs an environment of its own.
"""

from __future__ import annotations

import pytest

from tests.support.stock import hibari_voices
from voxcpm_openai import Voice
from voxcpm_openai.embedded.shape import shape_of

VOICES = hibari_voices()


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_no_stock_voice_has_a_shape_that_damages_it(voice: Voice) -> None:
    shape = shape_of(voice)
    assert shape.formant <= 1.0
    assert shape.breath <= 0 or shape.pitch <= 1.2
    assert 0.45 <= shape.pitch <= 1.45


def test_the_further_voices_of_hibari_are_one_each() -> None:
    bases = [voice.options["hibari"].get("base") for voice in VOICES.values()]
    assert sorted(base for base in bases if base) == ["emma", "fable", "fenrir", "kore"]
