"""The predicted memory of a model is what it really allocates."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support import ROOT
from tests.support.runtime.peak import Peak
from voxcpm_openai.cli.memory import CARDS, GB
from voxcpm_openai.runtime.device import memory, vae_precision
from voxcpm_openai.runtime.device.batch_inputs import MAX_PREFILL_TOKENS
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.device.stages import (
    MAX_EVALUATIONS,
    AcousticStage,
    LMStage,
    Stage,
    Stages,
    VAEStage,
)
from voxcpm_openai.runtime.device.voice_cache import MAX_ENTRIES, VoiceCache
from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
from voxcpm_openai.runtime.loading.published import MODELS, PublishedModel, find
from voxcpm_openai.runtime.model import linear
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
from voxcpm_openai.testing import tiny_checkpoints as tiny

LENGTH = 64
BFLOAT16 = torch.bfloat16
by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep weights as they are: a CPU packs them."""
    monkeypatch.setattr(linear, "_packs", lambda _: False)


def live_bytes() -> dict[int, int]:
    """Return the sizes of all storages of the process that tensors use."""
    gc.collect()
    # By its type: asking some of torch's own objects for their class warns.
    tensors = [found for found in gc.get_objects() if issubclass(type(found), torch.Tensor)]
    # Those of other tests may be packed, or on the meta device: they have no storage to ask for.
    plain = [found for found in tensors if found.layout == torch.strided and not found.is_meta]
    storages = [tensor.untyped_storage() for tensor in plain]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def allocated(before: dict[int, int]) -> int:
    """Return the bytes that are in use now and were not before."""
    return sum(size for address, size in live_bytes().items() if address not in before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_weights_are_those_of_the_loaded_model(
    checkpoint: Callable[[str], Path], kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae, rounds = Checkpoint.vae, dtype == "bfloat16"
    monkeypatch.setattr(Checkpoint, "vae", lambda own, device, **_: vae(own, device, tf32=rounds))
    monkeypatch.setattr(vae_precision, "MAX_CHANGE", 1.0)
    before = live_bytes()
    loaded = load_model(checkpoint(kind), "cpu", dtype)
    real = allocated(before)
    assert (loaded.decoder.fused.dtype == torch.float16) is rounds
    assert memory.model_memory(loaded.config, loaded.dtype, LENGTH).weights == real


@pytest.mark.parametrize("slots", [1, 5])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_slots_are_those_of_the_runner(
    model: Callable[[str], VoxCPM], kind: str, slots: int
) -> None:
    ours = model(kind)
    predicted = memory.model_memory(ours.config, ours.dtype, LENGTH)
    voices = VoiceCache(ours, "x")
    before = live_bytes()
    runner = ModelRunner(ours, voices, slots=slots, length=LENGTH, capture=enforce_eager)
    real = allocated(before)
    assert runner.slots == slots
    # On a GPU these are pinned memory of the host: the inputs, and two copies of the results.
    inputs = 8 * (2 * slots + 4 * MAX_PREFILL_TOKENS)
    results = 2 * (slots + 1 + slots * ours.patch_samples * 4)
    # Noise's constants are the runner's own, too, and used on a CPU only.
    constants = 8 * (2 * 10 + 2)
    assert predicted.base + slots * predicted.slot == real - inputs - results - constants
    state = ours.new_slots(1, LENGTH)
    assert predicted.slot_kv + predicted.slot_vae < state.bytes < predicted.slot


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_voice_is_the_prompt_of_its_clip(model: Callable[[str], VoxCPM], kind: str) -> None:
    ours = model(kind)
    clip = torch.zeros(memory.CLIP_SECONDS * ours.encoder_rate)  # [N]
    before = live_bytes()
    latents = ours.encode(clip)
    held = ours.prefix(latents) if isinstance(ours, VoxCPM2) else ours.prompt(latents)
    real = allocated(before) - (latents.untyped_storage().nbytes() if kind == "voxcpm2" else 0)
    predicted = memory.model_memory(ours.config, ours.dtype, LENGTH)
    assert held is not None
    assert predicted.voices == pytest.approx(MAX_ENTRIES * real, rel=0.01)


@by_name
def test_a_published_model_has_the_tensors_of_its_files(model: PublishedModel) -> None:
    made = outline(parse(dict(model.config)), BFLOAT16)
    counts = {"VoxCPM-0.5B": (377, 240), "VoxCPM1.5": (467, 296), "VoxCPM2": (577, 308)}
    assert (len(made.tensors), len(made.vae_tensors)) == counts[model.name]
    if model.name == "VoxCPM2":  # its file has a header, and all in 2 bytes
        numbers = sum(torch.Size(shape).numel() for shape in made.tensors.values())
        assert 0 < 4_580_080_592 - 2 * numbers < 100_000


def test_rope_has_a_factor_for_each_pair_of_a_heads_dimensions() -> None:
    factors = {}
    for model in MODELS:
        config = parse(dict(model.config))
        assert config.base.rope
        assert config.base.rope.scale == 1.0
        assert config.base.rope == config.dit.rope
        factors[model.name] = len(config.base.rope.factors)
    assert factors == {"VoxCPM-0.5B": 32, "VoxCPM1.5": 32, "VoxCPM2": 64}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("VoxCPM2", "openbmb/VoxCPM2"),
        ("openbmb/voxcpm-0.5b", "openbmb/VoxCPM-0.5B"),
        ("somebody/VoxCPM2", None),
        ("VoxCPM3", None),
        ("", None),
    ],
)
def test_a_published_model_is_found_by_its_name_or_id(name: str, found: str | None) -> None:
    model = find(name)
    assert (model and model.hub_id) == found


@by_name
def test_a_step_needs_no_more_than_is_counted(model: PublishedModel) -> None:
    """Operators' results only: what cuDNN and cuBLAS take besides is in the reserve."""
    ours = outline(parse(dict(model.config)), BFLOAT16).model
    rows = 8
    stages = Stages(ours, ours.new_slots(rows + 1, memory.LENGTH))

    def peak(stage: Stage) -> int:
        with Peak() as counted:
            stages.run(stage)
        return counted.peak

    # The VAE decodes while the next step runs.  More evaluations need their time embeddings only.
    more = rows * (MAX_EVALUATIONS - 9) * (2 * ours.config.dit.hidden_size + 4)
    both = peak(AcousticStage(rows, 9)) + more + peak(VAEStage(rows))
    assert both < rows * memory.STEP_BYTES
    predicted = memory.model_memory(ours.config, BFLOAT16, memory.LENGTH)
    rest = memory.RESERVED_BYTES - memory.GRAPH_BYTES - predicted.voices
    assert peak(LMStage(rows, MAX_PREFILL_TOKENS, memory.LENGTH)) < rest / 2
    with Peak() as counted:  # the longest clip that a voice may have
        ours.encode(torch.zeros(30 * ours.encoder_rate, device="meta"))
    assert counted.peak < rest / 4


def test_the_table_of_the_docs_is_computed() -> None:
    """Of ``docs/generate.py``, which runs without torch, it cannot be a part."""
    cells = [f"{size} GB" for size in CARDS]
    lines = [f"| model | weights | a slot and its row | {' | '.join(cells)} |", f"|{'---|' * 8}"]
    for model in MODELS:
        config = parse(dict(model.config))
        predicted = memory.model_memory(config, BFLOAT16, memory.slot_length(config))
        row = (predicted.slot + memory.STEP_BYTES) / memory.MIB
        fit = [f"{predicted.slots_of_card(size * GB) or 'none'}" for size in CARDS]
        weights = f"{predicted.weights / memory.GIB:.2f} GiB"
        lines.append(f"| {model.name} | {weights} | {row:.0f} MiB | {' | '.join(fit)} |")
    table = "\n".join(lines)
    assert table in (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8"), table
