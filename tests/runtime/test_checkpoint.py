"""Checkpoints with missing or wrong contents: the error names them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.errors import CheckpointError
from voxcpm_openai.runtime.loading import hub
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.testing import tiny_checkpoints as tiny


@pytest.fixture
def folder(checkpoint: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be damaged."""
    return Path(shutil.copytree(checkpoint("voxcpm2"), tmp_path / "broken"))


def load(folder: Path) -> None:
    load_model(folder, "cpu", "float32")


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_checkpoint_is_small(checkpoint: Callable[[str], Path], kind: str) -> None:
    assert sum(path.stat().st_size for path in checkpoint(kind).iterdir()) < 3_000_000


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "audiovae.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "audiovae.safetensors"]
)
@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"\xff\xfe\x00 rubbish, long enough for a header"]
)
def test_a_wrong_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "audiovae.pth"])
def test_a_wrong_pickle_is_named(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(checkpoint("voxcpm05b"), tmp_path / "broken"))
    (folder / name).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=name):
        load(folder)
    # An object that is no tensor would run code when unpickled: it is refused.
    torch.save({"state_dict": Path("x")}, folder / name)
    with pytest.raises(CheckpointError, match=name):
        load(folder)
    torch.save([1, 2], folder / name)
    with pytest.raises(CheckpointError, match=name):
        load(folder)


def test_files_from_before_torch_wrote_zip_archives_are_read(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    """PyTorch cannot map them into memory."""
    folder = Path(shutil.copytree(checkpoint("voxcpm05b"), tmp_path / "old"))
    for name in ("pytorch_model.bin", "audiovae.pth"):
        content = torch.load(folder / name, weights_only=True)
        torch.save(content, folder / name, _use_new_zipfile_serialization=False)
    expected, ours = (
        load_model(path, "cpu", "float32") for path in (checkpoint("voxcpm05b"), folder)
    )
    assert torch.equal(ours.embed_tokens, expected.embed_tokens)
    assert hub.find(str(folder)) == folder


@pytest.mark.parametrize(
    ("file", "tensor"),
    [
        ("model.safetensors", "base_lm.layers.1.self_attn.k_proj.weight"),
        ("model.safetensors", "feat_encoder.special_token"),
        ("model.safetensors", "fusion_concat_proj.bias"),
        ("audiovae.safetensors", "decoder.model.3.block.1.weight_g"),
        ("audiovae.safetensors", "encoder.fc_mu.bias"),
    ],
)
def test_a_missing_or_misshapen_tensor_is_named(folder: Path, file: str, tensor: str) -> None:
    tensors = load_file(folder / file)
    original = tensors.pop(tensor)
    save_file(tensors, folder / file)
    with pytest.raises(CheckpointError, match=f"{file} has no tensor '{tensor}'"):
        load(folder)
    wrong = [original[:-1], original[None], original.sum()]
    for replacement in wrong:
        save_file({**tensors, tensor: replacement.contiguous()}, folder / file)
        with pytest.raises(CheckpointError, match=f"{file}: tensor '{tensor}' has the shape"):
            load(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("architecture", "voxcpm9", "architecture"),
        ("lm_config", None, "lm_config"),
        ("lm_config.hidden_size", None, "lm_config.hidden_size"),
        ("lm_config.hidden_size", "wide", "lm_config.hidden_size"),
        ("lm_config.rope_scaling.long_factor", [1.0], "long_factor.*1 factors.*8"),
        ("lm_config.rope_scaling.long_factor", "x", "rope_scaling.long_factor"),
        ("lm_config.rope_scaling.original_max_position_embeddings", 0, "0 of them original"),
        ("lm_config.rope_scaling.original_max_position_embeddings", 1, "1 of them original"),
        ("lm_config.max_position_embeddings", 0, "0 positions"),
        ("audio_vae_config.depthwise", False, "audio_vae_config.depthwise"),
        ("audio_vae_config.use_noise_block", True, "audio_vae_config.use_noise_block"),
        ("audio_vae_config.cond_type", "concat", "audio_vae_config.cond_type"),
        ("audio_vae_config.decoder_rates", [8, "x"], "audio_vae_config.decoder_rates"),
    ],
)
def test_a_wrong_configuration_field_is_named(path: str, value: Any, message: str) -> None:
    config = tiny.make_config("voxcpm2")
    *parents, name = path.split(".")
    target = config
    for parent in parents:
        target = target[parent]
    target[name] = value
    with pytest.raises(CheckpointError, match=message):
        parse(config)


def test_defaults_are_those_of_the_first_checkpoint() -> None:
    config = tiny.make_config("voxcpm05b")
    for name in ("architecture", "patch_size", "feat_dim", "residual_lm_num_layers", "max_length"):
        del config[name]
    del config["audio_vae_config"]
    del config["scalar_quantization_latent_dim"]
    parsed = parse(config)
    assert (parsed.architecture, parsed.patch_size, parsed.channels) == ("voxcpm", 2, 64)
    assert (parsed.residual.num_layers, parsed.max_length, parsed.fsq_dim) == (6, 4096, 256)
    vae = parsed.vae
    assert (vae.encoder_hop, vae.decoder_hop, vae.sample_rate) == (640, 640, 16000)


def test_weights_are_copies_in_the_given_dtype(folder: Path) -> None:
    ours = load_model(folder, "cpu", "bfloat16")
    stored = load_file(folder / "model.safetensors")["stop_head.weight"].clone()
    unit = torch.eye(stored.shape[1])  # its product is the weights
    assert torch.equal(ours.stop_head(unit.bfloat16()), stored.bfloat16().T)
    assert ours.decoder.conv_shapes
    # Overwriting the files changes nothing: no tensor is a view of them.
    loaded = load_model(folder, "cpu", "float32")
    for name in ("model.safetensors", "audiovae.safetensors"):
        (folder / name).write_bytes(bytes((folder / name).stat().st_size))
    assert torch.equal(loaded.stop_head(unit), stored.T)
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["patch_size"] == 4
