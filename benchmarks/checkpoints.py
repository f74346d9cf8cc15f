"""Random checkpoints of the true sizes: what the models cost can be measured without their weights.

The shapes of ``config.json`` are the published ones.  Which tensors there are, and how large, the
runtime's own loader says; each is drawn in turn and goes straight to the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.runtime.tiny import make_tokenizer
from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.loader import ARCHITECTURES
from voxcpm_openai.runtime.model import config as parser
from voxcpm_openai.runtime.tokenizer import TextTokenizer

KINDS = {"0.5B": "voxcpm05b", "1.5": "voxcpm15", "2": "voxcpm2"}
"""The models, and what the tests call them."""

TEXT, TOKENS = "x" * 59, 60
"""A text and its tokens: no words, so that the tokenizer merges none."""

Shapes = dict[str, tuple[int, ...]]

VAES: dict[str, dict[str, Any]] = {
    "0.5B": {
        "encoder_dim": 128,
        "encoder_rates": [2, 5, 8, 8],
        "decoder_dim": 1536,
        "decoder_rates": [8, 8, 5, 2],
        "sample_rate": 16000,
    },
    "1.5": {
        "encoder_dim": 64,
        "encoder_rates": [2, 3, 6, 7, 7],
        "decoder_dim": 2048,
        "decoder_rates": [7, 7, 6, 3, 2],
        "sample_rate": 44100,
    },
    "2": {
        "encoder_dim": 128,
        "encoder_rates": [2, 5, 8, 8],
        "decoder_dim": 2048,
        "decoder_rates": [8, 6, 5, 2, 2, 2],
        "sample_rate": 16000,
        "out_sample_rate": 48000,
        "sr_bin_boundaries": [20000, 30000, 40000],
    },
}


def make(folder: Path, model: str, seed: int = 1) -> Path:
    """Write the checkpoint of a model unless it is there, and return its folder.

    The stop head is zero, so that no speech ends by itself.
    """
    home = folder / KINDS[model]
    done = home / f"seed-{seed}"  # written last: a folder without it is half made
    if done.exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    content = make_config(model)
    (home / "config.json").write_text(json.dumps(content), encoding="utf-8")
    make_tokenizer(home)
    generator = torch.Generator().manual_seed(seed)
    parsed, tokenizer = parser.parse(content), TextTokenizer(home / "tokenizer.json")
    weights, vae = Asked({}), Asked({})
    ARCHITECTURES[parsed.architecture](parsed, weights, vae, tokenizer)
    write(home / "model.safetensors", weights.shapes, generator)
    write(home / "audiovae.safetensors", vae.shapes, generator)
    done.touch()
    return home


def make_config(model: str) -> dict[str, Any]:
    """``config.json`` of a model."""
    second = model == "2"
    head = 128 if second else 64
    layers = {"0.5B": (24, 6, 4), "1.5": (24, 8, 8), "2": (28, 8, 12)}
    base, residual, inner = layers[model]
    lm = {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": 2048 if second else 1024,
        "intermediate_size": 6144 if second else 4096,
        "max_position_embeddings": 32768,
        "num_attention_heads": 16,
        "num_hidden_layers": base,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": [1.0] * (head // 2),
            "short_factor": [1.0] * (head // 2),
            "original_max_position_embeddings": 32768,
        },
        "vocab_size": 73448,
        "use_mup": False,
        "scale_emb": 12,
        "dim_model_base": 256,
        "scale_depth": 1.4,
        **({"kv_channels": head} if second else {}),
    }
    local = {
        "hidden_dim": 1024,
        "ffn_dim": 4096,
        "num_heads": 16,
        "num_layers": inner,
        **({"kv_channels": head} if second else {}),
    }
    return {
        "architecture": "voxcpm2" if second else "voxcpm",
        "lm_config": lm,
        "patch_size": 2 if model == "0.5B" else 4,
        "feat_dim": 64,
        "residual_lm_num_layers": residual,
        "residual_lm_no_rope": second,
        "scalar_quantization_latent_dim": 512 if second else 256,
        "scalar_quantization_scale": 9,
        "encoder_config": local,
        "dit_config": {**local, "cfm_config": {"inference_cfg_rate": 2.0}},
        "audio_vae_config": {"latent_dim": 64, **VAES[model]},
        "max_length": 4096 if model == "0.5B" else 8192,
        "device": "cpu",
        "dtype": "float32",
    }


class Asked(Weights):
    """Notes the tensors that a model asks for, and gives it such as take no memory."""

    def __init__(self, shapes: Shapes, prefix: str = "") -> None:
        self.shapes = shapes
        self.device = torch.device("meta")
        self.dtype = torch.float32
        self.prefix = prefix

    def under(self, name: str) -> Asked:
        """Go on with the names below ``name``."""
        return Asked(self.shapes, f"{self.prefix}{name}.")

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Note each part, and return the whole without content."""
        for name, rows in parts.items():
            self.shapes[self.prefix + name] = (rows, *shape)
        return torch.empty(sum(parts.values()), *shape, device=self.device)  # [sum, *shape]


def write(path: Path, shapes: Shapes, generator: torch.Generator) -> None:
    """Write random tensors as safetensors, holding one at a time."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            tensor = draw(name, shape, generator)  # shape
            if not tensor.isfinite().all():
                raise ValueError(f"{name} is not finite.")
            file.write(tensor.numpy().tobytes())


def draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return a random tensor that keeps what goes through it about as loud as it is."""
    mean, spread = 0.0, 1.0
    if name == "stop_head.weight":
        return torch.zeros(shape)  # shape
    if name.endswith("block.3.weight_g"):  # what a residual unit of the VAE adds
        mean, spread = 0.2, 0.02
    elif name.endswith(("alpha", "weight_g", "norm.weight", "scale_embed.weight")):
        mean, spread = 1.0, 0.1
    elif name.endswith("bias"):
        spread = 0.1
    elif name.endswith(".weight"):
        spread = shape[-1] ** -0.5
    return torch.randn(shape, generator=generator).mul_(spread).add_(mean)  # shape
