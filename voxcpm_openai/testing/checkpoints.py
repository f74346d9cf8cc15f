"""Random checkpoints of the real sizes, to measure the models' speed without their weights.

The sizes in ``config.json`` are the published ones.  The names and shapes of the tensors come from
the model's own constructor; one tensor is drawn at a time and written to the file.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers

from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.loading.random_weights import draw
from voxcpm_openai.runtime.loading.shapes import Shapes
from voxcpm_openai.runtime.model import config as parser

KINDS = {"0.5B": "voxcpm05b", "1.5": "voxcpm15", "2": "voxcpm2"}
"""The models, and their names in the tests."""
PUBLISHED = dict(zip(KINDS, published.MODELS, strict=True))

TEXT, TOKENS = "x" * 59, 60
"""A text and its number of tokens: the tokenizer merges none of its characters."""

DTYPES = {torch.float32: ("F32", 4), torch.bfloat16: ("BF16", 2)}
"""The dtypes of the language models' tensors: their name in a file, and bytes per number."""

LATENT_DIM = 64
"""Channels of a frame of latents."""
VOCAB_SIZE = 640
"""Tokens of the tokenizer; the models have larger vocabularies."""
RATES = {
    name: {
        key: value
        for key, value in model.config["audio_vae_config"].items()
        if key not in ("latent_dim", "encoder_dim", "decoder_dim")
    }
    for name, model in PUBLISHED.items()
}
"""The strides and rates of each VAE."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a model.

    ``num_layers``: of the base LM, the residual LM, and LocEnc and LocDiT each.  ``local_...``: of
    the latter two.  ``max_positions``: of the rotary positions; ``max_length``: of a sequence.
    ``vae_dims``: channels of its encoder's first and its decoder's first convolution.
    """

    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    num_layers: tuple[int, int, int]
    local_hidden_size: int
    local_intermediate_size: int
    local_num_heads: int
    fsq_dim: int
    vocab_size: int
    max_positions: int
    max_length: int
    vae_dims: tuple[int, int]


def make(
    folder: Path,
    model: str,
    seed: int = 1,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the checkpoint of a model unless it exists, and return its folder.

    The stop head is zero, so that no speech ends by itself.  ``device``: where the numbers are
    drawn; a GPU is much faster, and draws other numbers from the same seed.  ``dtype``: one of
    ``DTYPES``; the VAE is always float32.
    """
    folder = folder / KINDS[model]
    # Written last: a folder without it is incomplete.
    done = folder / f"seed-{seed}-{DTYPES[dtype][0]}"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    content = make_config(model)
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    make_tokenizer(folder)
    generator = torch.Generator(device).manual_seed(seed)
    made = outline(parser.parse(content), dtype)
    write(folder / "model.safetensors", made.tensors, generator, dtype)
    write(folder / "audiovae.safetensors", made.vae_tensors, generator)
    done.touch()
    return folder


def make_config(model: str) -> dict[str, Any]:
    """Return the ``config.json`` of a model, as published but for its device and its dtype."""
    return {**PUBLISHED[model].config, "device": "cpu", "dtype": "float32"}


def configuration(model: str, sizes: Sizes) -> dict[str, Any]:
    """Return the ``config.json`` of a model with these sizes."""
    second = model == "2"
    head_dim = {"kv_channels": sizes.head_dim} if second else {}
    base_layers, residual_layers, local_layers = sizes.num_layers
    lm = {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.intermediate_size,
        "max_position_embeddings": sizes.max_positions,
        "num_attention_heads": sizes.num_heads,
        "num_hidden_layers": base_layers,
        "num_key_value_heads": sizes.num_kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": [1.0] * (sizes.head_dim // 2),
            "short_factor": [1.0] * (sizes.head_dim // 2),
            "original_max_position_embeddings": sizes.max_positions,
        },
        "vocab_size": sizes.vocab_size,
        "use_mup": False,
        "scale_emb": 12,
        "dim_model_base": 256,
        "scale_depth": 1.4,
        **head_dim,
    }
    local = {
        "hidden_dim": sizes.local_hidden_size,
        "ffn_dim": sizes.local_intermediate_size,
        "num_heads": sizes.local_num_heads,
        "num_layers": local_layers,
        **head_dim,
    }
    encoder_dim, decoder_dim = sizes.vae_dims
    return {
        "architecture": "voxcpm2" if second else "voxcpm",
        "lm_config": lm,
        "patch_size": 2 if model == "0.5B" else 4,
        "feat_dim": LATENT_DIM,
        "residual_lm_num_layers": residual_layers,
        "residual_lm_no_rope": second,
        "scalar_quantization_latent_dim": sizes.fsq_dim,
        "scalar_quantization_scale": 9,
        "encoder_config": local,
        "dit_config": {**local, "cfm_config": {"inference_cfg_rate": 2.0}},
        "audio_vae_config": {
            "latent_dim": LATENT_DIM,
            "encoder_dim": encoder_dim,
            "decoder_dim": decoder_dim,
            **RATES[model],
        },
        "max_length": sizes.max_length,
        "device": "cpu",
        "dtype": "float32",
    }


def make_tokenizer(folder: Path) -> None:
    """Write a BPE tokenizer with byte fallback like Llama's, with words of Chinese characters."""
    reserved = {0: "<unk>", 1: "<s>", 2: "</s>"}
    reserved |= {101: "<|audio_start|>", 102: "<|audio_end|>"}
    reserved |= {103: "<|audio_prompt_start|>", 104: "<|audio_prompt_end|>"}
    merges = [
        ("你", "好"),
        ("世", "界"),
        ("你好", "世界"),
        ("▁", "中"),
        ("▁中", "文"),
        ("中", "文"),
    ]
    merges += [("▁", "t"), ("h", "e"), ("▁t", "he"), ("l", "l"), ("▁", "h"), ("1", "2")]
    tokens = [f"<0x{i:02X}>" for i in range(256)] + ["▁", *map(chr, range(33, 127))]
    tokens += list("你好世界中文语音合成测试，。！？“”") + [a + b for a, b in merges]
    ids = iter(i for i in range(VOCAB_SIZE) if i not in reserved)
    vocabulary = {token: next(ids) for token in dict.fromkeys(tokens)}
    vocabulary |= {token: id_ for id_, token in reserved.items()}
    vocabulary |= {f"<pad_{id_}>": id_ for id_ in ids}
    bpe = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(reserved.values()))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "LlamaTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "add_bos_token": False,
        "legacy": True,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write(
    path: Path, shapes: Shapes, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> None:
    """Write random tensors as safetensors, with one in memory at a time."""
    header: dict[str, object] = {}
    end = 0
    dtype_name, size = DTYPES[dtype]
    for name, shape in shapes.items():
        start, end = end, end + size * math.prod(shape)
        header[name] = {"dtype": dtype_name, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            tensor = draw(name, shape, generator)  # shape
            if not tensor.isfinite().all():
                raise ValueError(f"{name} is not finite.")
            # As bytes: numpy has no bfloat16.
            file.write(tensor.to(dtype).flatten().view(torch.uint8).cpu().numpy().data)
