"""A recording that is sent as a voice conditions the model as the same file does in upstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.runtime import tiny
from tests.runtime.oracle import Oracle
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices import clip
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.store import Store

RECORDING = Path(__file__).parent.parent.parent / "voices" / "nova.flac"


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_an_uploaded_clip_conditions_the_model_as_in_upstream(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str, tmp_path: Path
) -> None:
    store = Store(Data(tmp_path), Settings())
    sample = clip.clean(RECORDING.read_bytes())
    voice = store.add("Nova", sample.flac(), owner=None, transcript="Some words.")
    assert voice.audio is not None
    ours = Prompts(model(kind), kind).get(voice.audio).latents
    if kind == "voxcpm2":
        cache = oracle(kind).model.build_prompt_cache(reference_wav_path=str(voice.audio))
        theirs = cache["ref_audio_feat"]
    else:
        cache = oracle(kind).model.build_prompt_cache(
            prompt_wav_path=str(voice.audio), prompt_text=voice.transcript
        )
        theirs = cache["audio_feat"]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
