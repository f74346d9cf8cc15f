"""Our models against upstream with the same noise: clips, patches, stop flags, samples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.runtime.oracle import Oracle
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import Stream, alone, clip

TEXT = "the hello 你好世界 12"
PROMPT_TEXT = "the prompt. "
CASES = [(kind, mode) for kind in tiny.KINDS for mode in ("plain", "prompt")]
CASES += [("voxcpm2", "reference"), ("voxcpm2", "reference and prompt")]


@pytest.mark.parametrize(("kind", "mode"), CASES)
def test_a_stream_equals_upstream(
    model: Callable[[str], VoxCPM],
    oracle: Callable[[str], Oracle],
    kind: str,
    mode: str,
    tmp_path: Path,
) -> None:
    ours, theirs = model(kind), oracle(kind)
    # Neither length is a multiple of the patch, so that padding matters.
    prompt = clip(0.71, ours.encoder_rate, 1) if "prompt" in mode else None
    reference = clip(0.53, ours.encoder_rate, 2) if "reference" in mode else None
    cache = theirs.prompt(tmp_path, PROMPT_TEXT, prompt, reference)
    stream = Stream(
        text=PROMPT_TEXT + TEXT if prompt is not None else TEXT,
        prompt=None if prompt is None else ours.encode(prompt),
        reference=None if reference is None else ours.encode(reference, reference=True),
    )
    output = alone(ours, stream)
    latents, stop_flags = theirs.generate(TEXT, cache, stream.noise(ours), stream.steps, stream.cfg)

    torch.testing.assert_close(output.latents, latents, atol=1e-4, rtol=0)
    assert output.stop_flags == stop_flags
    assert len(set(stop_flags)) == 2, "the checkpoint should have both flags"
    context = ours.encode(prompt)[-ours.context :] if prompt is not None else latents[:0]
    decoded = theirs.decode(torch.cat((context, latents)))[len(context) * ours.patch_samples :]
    torch.testing.assert_close(output.samples, decoded, atol=2e-5, rtol=0)
    if cache is not None and prompt is not None:
        torch.testing.assert_close(stream.prompt, cache["audio_feat"], atol=1e-5, rtol=0)
    if cache is not None and reference is not None:
        torch.testing.assert_close(stream.reference, cache["ref_audio_feat"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("steps", "cfg"), [(2, 1.0), (5, 3.0), (7, 1.5), (50, 2.0)])
def test_other_steps_and_guidance(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], steps: int, cfg: float
) -> None:
    ours, theirs = model("voxcpm15"), oracle("voxcpm15")
    stream = Stream(text=TEXT, patches=4, steps=steps, cfg=cfg)
    latents, _ = theirs.generate(TEXT, None, stream.noise(ours), steps, cfg)
    torch.testing.assert_close(alone(ours, stream).latents, latents, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_options_of_the_configuration(
    checkpoint: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint(kind), tmp_path / "other"))
    config = tiny.make_config(kind)
    (config["dit_config"] if kind == "voxcpm2" else config)["dit_mean_mode"] = True
    config["audio_vae_config"]["sr_bin_boundaries"] = None
    config["lm_config"]["no_rope"] = True
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    ours, theirs = load_model(folder, "cpu", "float32"), Oracle(folder, kind)
    stream = Stream(text=TEXT, patches=4)
    output = alone(ours, stream)
    latents, _ = theirs.generate(TEXT, None, stream.noise(ours), stream.steps, stream.cfg)
    torch.testing.assert_close(output.latents, latents, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.samples, theirs.decode(latents), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_upstream_loads_every_tensor_of_the_checkpoint(
    oracle: Callable[[str], Oracle], checkpoint: Callable[[str], Path], kind: str
) -> None:
    from safetensors.torch import load_file

    folder, names = checkpoint(kind), set(oracle(kind).model.state_dict())
    if kind == "voxcpm05b":
        model = torch.load(folder / "pytorch_model.bin", weights_only=True)["state_dict"]
        vae = torch.load(folder / "audiovae.pth", weights_only=True)["state_dict"]
    else:
        model = load_file(folder / "model.safetensors")
        vae = load_file(folder / "audiovae.safetensors")
    assert names == set(model) | {f"audio_vae.{name}" for name in vae}


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_rates_and_sizes(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str
) -> None:
    ours, theirs = model(kind), oracle(kind).model
    assert ours.sample_rate == theirs.sample_rate
    assert ours.encoder_rate == theirs.audio_vae.sample_rate
    assert ours.latent_shape == (theirs.patch_size, theirs.feat_dim)
    assert alone(ours, Stream(TEXT, patches=2)).samples.shape == (2 * ours.patch_samples,)
