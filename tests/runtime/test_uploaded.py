"""An uploaded clip conditions the model as it does in upstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support import ROOT
from tests.support.runtime.oracle import Oracle
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.voices.intake import clip
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.voices import VoiceStore

RECORDING = ROOT / "voices" / "nova.flac"


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_an_uploaded_clip_conditions_the_model_as_in_upstream(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str, tmp_path: Path
) -> None:
    store = VoiceStore(DataFolder(tmp_path), Settings())
    sample = clip.clean(RECORDING.read_bytes())
    voice = store.add("Nova", sample.flac(), principal=OPERATOR, transcript="Some words.")
    assert voice.audio is not None
    ours = VoiceCache(model(kind), kind).get(voice.audio).latents
    if kind == "voxcpm2":
        cache = oracle(kind).model.build_prompt_cache(reference_wav_path=str(voice.audio))
        theirs = cache["ref_audio_feat"]
    else:
        cache = oracle(kind).model.build_prompt_cache(
            prompt_wav_path=str(voice.audio), prompt_text=voice.transcript
        )
        theirs = cache["audio_feat"]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
