"""Random checkpoints of a few hundred kilobytes, with the files and tensors of the real ones.

All numbers are random, norms and biases too, so that no error is hidden by a zero or a one.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from voxcpm_openai.testing import checkpoints
from voxcpm_openai.testing.checkpoints import LATENT_DIM, VOCAB_SIZE, Sizes, make_tokenizer

MODELS = {kind: model for model, kind in checkpoints.KINDS.items()}
KINDS = tuple(checkpoints.KINDS.values())
NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = 4, 2, 16


def make(folder: Path, kind: str, seed: int = 7) -> Path:
    """Write a checkpoint: 0.5B as pickles and with muP, the others as safetensors."""
    folder.mkdir(parents=True)
    config = make_config(kind)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    make_tokenizer(folder)
    draw = Draw(seed)
    model, vae = _model(draw, config), _vae(draw, config["audio_vae_config"], kind == "voxcpm2")
    if kind == "voxcpm05b":
        torch.save({"state_dict": model}, folder / "pytorch_model.bin")
        torch.save({"state_dict": vae}, folder / "audiovae.pth")
    else:
        save_file(model, folder / "model.safetensors")
        save_file(vae, folder / "audiovae.safetensors")
    return folder


def make_config(kind: str) -> dict[str, Any]:
    """Return a ``config.json``: the real one's fields with small sizes."""
    second = kind == "voxcpm2"
    sizes = Sizes(
        hidden_size=48 if second else NUM_HEADS * HEAD_DIM,
        intermediate_size=96,
        num_heads=NUM_HEADS,
        num_kv_heads=NUM_KV_HEADS,
        head_dim=HEAD_DIM,
        num_layers=(2, 1, 2),
        local_hidden_size=80 if second else NUM_HEADS * HEAD_DIM,
        local_intermediate_size=96,
        local_num_heads=NUM_HEADS,
        fsq_dim=32,
        vocab_size=VOCAB_SIZE,
        max_positions=4096,
        max_length=256,
        vae_dims=(4, {"voxcpm05b": 48, "voxcpm15": 64, "voxcpm2": 128}[kind]),
    )
    config = checkpoints.configuration(MODELS[kind], sizes)
    lm = config["lm_config"]
    lm |= {"use_mup": kind == "voxcpm05b", "scale_emb": 3}
    lm["rope_scaling"] |= {
        "long_factor": [1 + i / 10 for i in range(HEAD_DIM // 2)],
        "original_max_position_embeddings": 4096 if kind == "voxcpm05b" else 1024,
    }
    return config


class Draw:
    """Draws random tensors from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Return normal numbers."""
        return torch.randn(shape, generator=self.generator) * std + mean  # shape

    def linear(self, name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, Tensor]:
        """Return the tensors of a linear layer."""
        tensors = {f"{name}.weight": self.normal(outputs, inputs, std=inputs**-0.5)}
        if bias:
            tensors[f"{name}.bias"] = self.normal(outputs, std=0.1)
        return tensors

    def conv(self, name: str, *shape: int, gain: float = 1.0) -> dict[str, Tensor]:
        """Return the tensors of a convolution with weight norm."""
        return {
            f"{name}.weight_v": self.normal(*shape),
            f"{name}.weight_g": self.normal(shape[0], 1, 1, mean=gain, std=gain / 5).abs(),
            f"{name}.bias": self.normal(shape[0], std=0.1),
        }

    def snake(self, name: str, channels: int) -> dict[str, Tensor]:
        """Return the tensor of a snake activation."""
        return {f"{name}.alpha": self.normal(1, channels, 1, mean=1.0, std=0.2).abs() + 0.1}


def _transformer(
    draw: Draw, name: str, hidden: int, intermediate: int, num_layers: int
) -> dict[str, Tensor]:
    tensors = {f"{name}.norm.weight": draw.normal(hidden, mean=1.0, std=0.2)}
    for i in range(num_layers):
        layer = f"{name}.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}.{norm}.weight"] = draw.normal(hidden, mean=1.0, std=0.2)
        for part, heads in (("q", NUM_HEADS), ("k", NUM_KV_HEADS), ("v", NUM_KV_HEADS)):
            tensors |= draw.linear(
                f"{layer}.self_attn.{part}_proj", hidden, heads * HEAD_DIM, False
            )
        tensors |= draw.linear(f"{layer}.self_attn.o_proj", NUM_HEADS * HEAD_DIM, hidden, False)
        tensors |= draw.linear(f"{layer}.mlp.gate_proj", hidden, intermediate, False)
        tensors |= draw.linear(f"{layer}.mlp.up_proj", hidden, intermediate, False)
        tensors |= draw.linear(f"{layer}.mlp.down_proj", intermediate, hidden, False)
    return tensors


def _model(draw: Draw, config: dict[str, Any]) -> dict[str, Tensor]:
    hidden, dit_hidden = config["lm_config"]["hidden_size"], config["dit_config"]["hidden_dim"]
    intermediate = config["dit_config"]["ffn_dim"]
    fsq_dim = config["scalar_quantization_latent_dim"]
    dit = "feat_decoder.estimator"
    tensors = {
        "base_lm.embed_tokens.weight": draw.normal(VOCAB_SIZE, hidden),
        "feat_encoder.special_token": draw.normal(1, 1, 1, dit_hidden),
        **_transformer(draw, "base_lm", hidden, intermediate, 2),
        **_transformer(draw, "residual_lm", hidden, intermediate, 1),
        **_transformer(draw, "feat_encoder.encoder", dit_hidden, intermediate, 2),
        **_transformer(draw, f"{dit}.decoder", dit_hidden, intermediate, 2),
        **draw.linear("feat_encoder.in_proj", LATENT_DIM, dit_hidden),
        **draw.linear("enc_to_lm_proj", dit_hidden, hidden),
        **draw.linear(f"{dit}.in_proj", LATENT_DIM, dit_hidden),
        **draw.linear(f"{dit}.cond_proj", LATENT_DIM, dit_hidden),
        **draw.linear(f"{dit}.out_proj", dit_hidden, LATENT_DIM),
        **draw.linear("fsq_layer.in_proj", hidden, fsq_dim),
        **draw.linear("fsq_layer.out_proj", fsq_dim, hidden),
        **draw.linear("lm_to_dit_proj", hidden, dit_hidden),
        **draw.linear("res_to_dit_proj", hidden, dit_hidden),
        **draw.linear("stop_proj", hidden, hidden),
        **draw.linear("stop_head", hidden, 2, False),
    }
    for mlp in ("time_mlp", "delta_time_mlp"):
        tensors |= draw.linear(f"{dit}.{mlp}.linear_1", dit_hidden, dit_hidden)
        tensors |= draw.linear(f"{dit}.{mlp}.linear_2", dit_hidden, dit_hidden)
    if config["architecture"] == "voxcpm2":
        tensors |= draw.linear("fusion_concat_proj", 2 * hidden, hidden)
    return tensors


def _units(draw: Draw, block: str, channels: int, first: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for i in range(first, first + 3):
        tensors |= draw.snake(f"{block}.{i}.block.0", channels)
        tensors |= draw.conv(f"{block}.{i}.block.1", channels, 1, 7)
        tensors |= draw.snake(f"{block}.{i}.block.2", channels)
        tensors |= draw.conv(f"{block}.{i}.block.3", channels, channels, 1, gain=0.2)
    return tensors


def _vae(draw: Draw, config: dict[str, Any], second: bool) -> dict[str, Tensor]:
    channels = config["encoder_dim"]
    tensors = draw.conv("encoder.block.0", channels, 1, 7, gain=2.0)
    for i, stride in enumerate(config["encoder_rates"], start=1):
        block = f"encoder.block.{i}.block"
        tensors |= _units(draw, block, channels, 0)
        tensors |= draw.snake(f"{block}.3", channels)
        tensors |= draw.conv(f"{block}.4", 2 * channels, channels, 2 * stride)
        channels *= 2
    tensors |= draw.conv("encoder.fc_mu", LATENT_DIM, channels, 3)
    tensors |= draw.conv("encoder.fc_logvar", LATENT_DIM, channels, 3)
    channels = config["decoder_dim"]
    tensors |= draw.conv("decoder.model.0", LATENT_DIM, 1, 7)
    tensors |= draw.conv("decoder.model.1", channels, LATENT_DIM, 1)
    for i, stride in enumerate(config["decoder_rates"], start=2):
        block = f"decoder.model.{i}.block"
        if second:
            condition = f"decoder.sr_cond_model.{i}"
            tensors[f"{condition}.scale_embed.weight"] = draw.normal(4, channels, mean=1, std=0.2)
            tensors[f"{condition}.bias_embed.weight"] = draw.normal(4, channels, std=0.2)
        tensors |= draw.snake(f"{block}.0", channels)
        tensors |= _upsample(draw, f"{block}.1", channels, channels // 2, stride)
        channels //= 2
        tensors |= _units(draw, block, channels, 2)
    last = 2 + len(config["decoder_rates"])
    tensors |= draw.snake(f"decoder.model.{last}", channels)
    tensors |= draw.conv(f"decoder.model.{last + 1}", 1, channels, 7, gain=0.1)
    if second:
        tensors["decoder.sr_bin_boundaries"] = torch.tensor(config["sr_bin_boundaries"]).int()
    return tensors


def _upsample(draw: Draw, name: str, inputs: int, outputs: int, stride: int) -> dict[str, Tensor]:
    gain = math.sqrt(stride / 4)  # preserves the scale of activations
    return {
        f"{name}.weight_v": draw.normal(inputs, outputs, 2 * stride),
        f"{name}.weight_g": draw.normal(inputs, 1, 1, mean=gain, std=gain / 5).abs(),
        f"{name}.bias": draw.normal(outputs, std=0.1),
    }
