"""Random checkpoints of the true sizes: what the models cost can be measured without their weights.

The shapes of ``config.json`` are the published ones.  Which tensors there are, and how large, the
runtime's own loader says; each is drawn in turn and goes straight to the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers
from torch import Tensor

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.loader import ARCHITECTURES
from voxcpm_openai.runtime.model import config as parser
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.tokenizer import TextTokenizer

KINDS = {"0.5B": "voxcpm05b", "1.5": "voxcpm15", "2": "voxcpm2"}
"""The models, and what the tests call them."""

TEXT, TOKENS = "x" * 59, 60
"""A text and its tokens: no words, so that the tokenizer merges none."""

Shapes = dict[str, tuple[int, ...]]

DTYPES = {torch.float32: ("F32", 4), torch.bfloat16: ("BF16", 2)}
"""Of the language models' tensors: what a file calls them, and the bytes of a number."""

LATENT = 64
"""Channels of a frame of latents."""
VOCABULARY = 640
"""Tokens that the tokenizer has; the models have room for more."""
RATES: dict[str, dict[str, Any]] = {
    "0.5B": {
        "encoder_rates": [2, 5, 8, 8],
        "decoder_rates": [8, 8, 5, 2],
        "sample_rate": 16000,
    },
    "1.5": {
        "encoder_rates": [2, 3, 6, 7, 7],
        "decoder_rates": [7, 7, 6, 3, 2],
        "sample_rate": 44100,
    },
    "2": {
        "encoder_rates": [2, 5, 8, 8],
        "decoder_rates": [8, 6, 5, 2, 2, 2],
        "sample_rate": 16000,
        "out_sample_rate": 48000,
        "sr_bin_boundaries": [20000, 30000, 40000],
    },
}
"""What each VAE does to the rate."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a model is.

    ``layers``: of the base LM, the residual LM, and LocEnc and LocDiT each.  ``local_...``: of the
    latter two.  ``shared``: heads of keys and values.  ``positions``: that its rope knows;
    ``length``: that it keeps.  ``vae``: channels of its encoder's first and its decoder's first
    convolution.
    """

    width: int
    inner: int
    heads: int
    shared: int
    head: int
    layers: tuple[int, int, int]
    local_width: int
    local_inner: int
    local_heads: int
    quantised: int
    vocabulary: int
    positions: int
    length: int
    vae: tuple[int, int]


def make(
    folder: Path,
    model: str,
    seed: int = 1,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the checkpoint of a model unless it is there, and return its folder.

    The stop head is zero, so that no speech ends by itself.  ``device``: where the numbers are
    drawn; a GPU is much the faster, and draws others from the same seed.  ``dtype``: one of
    ``DTYPES``; the VAE stays in float32.
    """
    home = folder / KINDS[model]
    # Written last: a folder without it is half made.
    done = home / f"seed-{seed}-{DTYPES[dtype][0]}"
    if done.exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    content = make_config(model)
    (home / "config.json").write_text(json.dumps(content), encoding="utf-8")
    make_tokenizer(home)
    generator = torch.Generator(device).manual_seed(seed)
    parsed, tokenizer = parser.parse(content), TextTokenizer(home / "tokenizer.json")
    weights, vae = Asked({}), Asked({})
    ARCHITECTURES[parsed.architecture](parsed, weights, vae, tokenizer)
    write(home / "model.safetensors", weights.shapes, generator, dtype)
    write(home / "audiovae.safetensors", vae.shapes, generator)
    done.touch()
    return home


def make_config(model: str) -> dict[str, Any]:
    """``config.json`` of a model."""
    second = model == "2"
    sizes = Sizes(
        width=2048 if second else 1024,
        inner=6144 if second else 4096,
        heads=16,
        shared=2,
        head=128 if second else 64,
        layers={"0.5B": (24, 6, 4), "1.5": (24, 8, 8), "2": (28, 8, 12)}[model],
        local_width=1024,
        local_inner=4096,
        local_heads=16,
        quantised=512 if second else 256,
        vocabulary=73448,
        positions=32768,
        length=4096 if model == "0.5B" else 8192,
        vae={"0.5B": (128, 1536), "1.5": (64, 2048), "2": (128, 2048)}[model],
    )
    return configuration(model, sizes)


def configuration(model: str, sizes: Sizes) -> dict[str, Any]:
    """``config.json`` of a model, were it of these sizes."""
    second = model == "2"
    head = {"kv_channels": sizes.head} if second else {}
    base, residual, inner = sizes.layers
    lm = {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.inner,
        "max_position_embeddings": sizes.positions,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": base,
        "num_key_value_heads": sizes.shared,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": [1.0] * (sizes.head // 2),
            "short_factor": [1.0] * (sizes.head // 2),
            "original_max_position_embeddings": sizes.positions,
        },
        "vocab_size": sizes.vocabulary,
        "use_mup": False,
        "scale_emb": 12,
        "dim_model_base": 256,
        "scale_depth": 1.4,
        **head,
    }
    local = {
        "hidden_dim": sizes.local_width,
        "ffn_dim": sizes.local_inner,
        "num_heads": sizes.local_heads,
        "num_layers": inner,
        **head,
    }
    encoder, decoder = sizes.vae
    return {
        "architecture": "voxcpm2" if second else "voxcpm",
        "lm_config": lm,
        "patch_size": 2 if model == "0.5B" else 4,
        "feat_dim": LATENT,
        "residual_lm_num_layers": residual,
        "residual_lm_no_rope": second,
        "scalar_quantization_latent_dim": sizes.quantised,
        "scalar_quantization_scale": 9,
        "encoder_config": local,
        "dit_config": {**local, "cfm_config": {"inference_cfg_rate": 2.0}},
        "audio_vae_config": {
            "latent_dim": LATENT,
            "encoder_dim": encoder,
            "decoder_dim": decoder,
            **RATES[model],
        },
        "max_length": sizes.length,
        "device": "cpu",
        "dtype": "float32",
    }


def make_tokenizer(folder: Path) -> None:
    """A byte-fallback BPE as Llama's, with words of several Chinese characters."""
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
    pieces = [f"<0x{i:02X}>" for i in range(256)] + ["▁", *map(chr, range(33, 127))]
    pieces += list("你好世界中文语音合成测试，。！？“”") + [a + b for a, b in merges]
    numbers = iter(i for i in range(VOCABULARY) if i not in reserved)
    vocabulary = {piece: next(numbers) for piece in dict.fromkeys(pieces)}
    vocabulary |= {token: number for number, token in reserved.items()}
    vocabulary |= {f"<pad_{number}>": number for number in numbers}
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


class Asked(Weights):
    """Notes the tensors that a model asks for, and gives it such as take no memory."""

    def __init__(self, shapes: Shapes, prefix: str = "") -> None:
        self.shapes = shapes
        self.device = torch.device("meta")
        self.dtype = torch.float32
        self.prefix = prefix
        self.ops = TorchOps()
        self.int8 = False

    def under(self, name: str) -> Asked:
        """Go on with the names below ``name``."""
        return Asked(self.shapes, f"{self.prefix}{name}.")

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Note each part, and return the whole without content."""
        for name, rows in parts.items():
            self.shapes[self.prefix + name] = (rows, *shape)
        return torch.empty(sum(parts.values()), *shape, device=self.device)  # [sum, *shape]


def write(
    path: Path, shapes: Shapes, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> None:
    """Write random tensors as safetensors, holding one at a time."""
    header: dict[str, object] = {}
    end = 0
    called, size = DTYPES[dtype]
    for name, shape in shapes.items():
        start, end = end, end + size * math.prod(shape)
        header[name] = {"dtype": called, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            tensor = draw(name, shape, generator)  # shape
            if not tensor.isfinite().all():
                raise ValueError(f"{name} is not finite.")
            # As bytes: numpy knows no bfloat16.
            file.write(tensor.to(dtype).flatten().view(torch.uint8).cpu().numpy().data)


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
    drawn = torch.randn(shape, generator=generator, device=generator.device)  # shape
    return drawn.mul_(spread).add_(mean)  # shape
