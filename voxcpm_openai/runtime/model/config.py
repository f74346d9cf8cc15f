"""``config.json`` as frozen dataclasses.

The defaults are upstream's: the first checkpoint (VoxCPM-0.5B) omits many fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from voxcpm_openai.runtime.errors import CheckpointError


@dataclass(frozen=True)
class TransformerConfig:
    """A MiniCPM transformer: one of the language models, LocEnc or LocDiT."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    residual_scale: float  # scales what a layer adds to the residual (muP); 1 without muP
    rope: RopeConfig | None


@dataclass(frozen=True)
class RopeConfig:
    """Rotary positions with a factor for each frequency (LongRoPE, arXiv:2402.13753)."""

    theta: float
    factors: tuple[float, ...]  # head_dim / 2 of them
    scale: float  # of cosines and sines


@dataclass(frozen=True)
class VAEConfig:
    """The audio VAE.  Rates in Hz; the product of the strides is the samples per frame."""

    latent_dim: int
    encoder_dim: int
    encoder_strides: tuple[int, ...]
    encoder_rate: int
    decoder_dim: int
    decoder_strides: tuple[int, ...]
    sample_rate: int
    trims_odd_strides: bool  # VoxCPM2's encoder pads one sample less where a stride is odd
    rate_bounds: tuple[int, ...] | None  # bins of the output rate that condition the decoder

    @property
    def encoder_hop(self) -> int:
        """Input samples per frame."""
        return math.prod(self.encoder_strides)

    @property
    def decoder_hop(self) -> int:
        """Output samples per frame."""
        return math.prod(self.decoder_strides)


@dataclass(frozen=True)
class ModelConfig:
    """A whole checkpoint."""

    architecture: str  # voxcpm (0.5B, 1.5) or voxcpm2
    vocab_size: int
    embedding_scale: float
    patch_size: int  # latent frames per patch (P)
    channels: int  # of a latent frame (C)
    fsq_levels: int  # of the scalar quantization, on each side of zero
    fsq_dim: int  # channels that are quantized (Q)
    max_length: int  # positions, text and audio together
    mean_velocity: bool  # LocDiT is given the size of the solver's step
    base: TransformerConfig
    residual: TransformerConfig
    encoder: TransformerConfig
    dit: TransformerConfig
    vae: VAEConfig


class _Fields:
    """A JSON object.  Errors name the field that is missing or has the wrong type."""

    def __init__(self, content: object, path: str = "") -> None:
        if not isinstance(content, dict):
            raise CheckpointError(f"config.json: '{path}' should be an object.")
        self.content: dict[str, Any] = content
        self.path = path

    def under(self, name: str, missing: dict[str, Any] | None = None) -> _Fields:
        value = self.content.get(name)
        return _Fields(missing if value is None else value, self._name(name))

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self._number(name, default))

    def number(self, name: str, default: float | None = None) -> float:
        return float(self._number(name, default))

    def flag(self, name: str, default: bool) -> bool:
        return bool(self._number(name, default))

    def numbers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[float, ...]:
        values = self.content.get(name, default)
        if not isinstance(values, list | tuple) or not all(
            isinstance(value, int | float) for value in values
        ):
            raise CheckpointError(f"config.json: '{self._name(name)}' should be a list of numbers.")
        return tuple(values)

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(value) for value in self.numbers(name, default))

    def _number(self, name: str, default: float | None) -> float:
        value = self.content.get(name)
        value = default if value is None else value
        if not isinstance(value, int | float):
            raise CheckpointError(f"config.json: '{self._name(name)}' should be a number.")
        return value

    def _name(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def parse(content: dict[str, Any]) -> ModelConfig:
    """Return the ``ModelConfig`` of a ``config.json``; raise CheckpointError at a wrong field."""
    fields = _Fields(content)
    architecture = str(content.get("architecture", "voxcpm")).lower()
    if architecture not in ("voxcpm", "voxcpm2"):
        raise CheckpointError(
            f"config.json: 'architecture' is '{architecture}'; this runtime knows voxcpm, voxcpm2."
        )
    second = architecture == "voxcpm2"
    lm, dit = fields.under("lm_config"), fields.under("dit_config")
    base = _base_lm(lm)
    num_layers = fields.integer("residual_lm_num_layers", 8 if second else 6)
    residual = replace(base, num_layers=num_layers)
    if second and fields.flag("residual_lm_no_rope", False):
        residual = replace(residual, rope=None)
    return ModelConfig(
        architecture=architecture,
        vocab_size=lm.integer("vocab_size"),
        embedding_scale=lm.number("scale_emb") if lm.flag("use_mup", True) else 1.0,
        patch_size=fields.integer("patch_size", 4 if second else 2),
        channels=fields.integer("feat_dim", 64),
        fsq_levels=fields.integer("scalar_quantization_scale", 9),
        fsq_dim=fields.integer("scalar_quantization_latent_dim", 512 if second else 256),
        max_length=fields.integer("max_length", 8192 if second else 4096),
        mean_velocity=(dit if second else fields).flag("dit_mean_mode", False),
        base=base,
        residual=_scaled(lm, residual),
        encoder=_local(lm, fields.under("encoder_config")),
        dit=_local(lm, dit),
        vae=_vae(fields.under("audio_vae_config", {}), second),
    )


def _base_lm(lm: _Fields) -> TransformerConfig:
    """Return the configuration of the base language model."""
    hidden_size, num_heads = lm.integer("hidden_size"), lm.integer("num_attention_heads")
    head_dim = lm.integer("kv_channels", hidden_size // num_heads)
    transformer = TransformerConfig(
        hidden_size=hidden_size,
        intermediate_size=lm.integer("intermediate_size"),
        num_layers=lm.integer("num_hidden_layers"),
        num_heads=num_heads,
        num_kv_heads=lm.integer("num_key_value_heads"),
        head_dim=head_dim,
        rms_norm_eps=lm.number("rms_norm_eps"),
        residual_scale=1.0,
        rope=None if lm.flag("no_rope", False) else _rope(lm, head_dim),
    )
    return _scaled(lm, transformer)


def _local(lm: _Fields, own: _Fields) -> TransformerConfig:
    """Return the configuration of LocEnc or LocDiT: the language model's with ``own`` fields."""
    hidden_size, num_heads = own.integer("hidden_dim", 1024), own.integer("num_heads", 16)
    head_dim = own.integer("kv_channels", hidden_size // num_heads)
    transformer = replace(
        _base_lm(lm),
        hidden_size=hidden_size,
        intermediate_size=own.integer("ffn_dim", 4096),
        num_layers=own.integer("num_layers", 4),
        num_heads=num_heads,
        head_dim=head_dim,
        rope=None if lm.flag("no_rope", False) else _rope(lm, head_dim),
    )
    return _scaled(lm, transformer)


def _scaled(lm: _Fields, transformer: TransformerConfig) -> TransformerConfig:
    """Set the residual scale, which with muP depends on the transformer's own depth."""
    if not lm.flag("use_mup", True):
        return transformer
    scale = lm.number("scale_depth") / math.sqrt(transformer.num_layers)
    return replace(transformer, residual_scale=scale)


def _rope(lm: _Fields, head_dim: int) -> RopeConfig:
    """Return LongRoPE's factors: the long ones if the model exceeds its original length."""
    scaling = lm.under("rope_scaling")
    longest, first = (
        lm.integer("max_position_embeddings"),
        scaling.integer("original_max_position_embeddings"),
    )
    if first < 2 or longest < 1:
        raise CheckpointError(
            f"config.json: {longest} positions, {first} of them original, have no scale: they must "
            "be at least 1 and 2."
        )
    name = "long_factor" if longest > first else "short_factor"
    factors = scaling.numbers(name)
    if len(factors) != head_dim // 2:
        raise CheckpointError(
            f"config.json: 'lm_config.rope_scaling.{name}' has {len(factors)} factors, "
            f"but a head of {head_dim} needs {head_dim // 2}."
        )
    scale = math.sqrt(1 + math.log(longest / first) / math.log(first))
    return RopeConfig(theta=lm.number("rope_theta"), factors=factors, scale=scale)


def _vae(vae: _Fields, second: bool) -> VAEConfig:
    """Return the configuration of the VAE; raise CheckpointError for unsupported variants."""
    wrong = {
        "depthwise": not vae.flag("depthwise", True),
        "use_noise_block": vae.flag("use_noise_block", False),
        "cond_type": not str(vae.content.get("cond_type", "scale_bias")).startswith("scale_bias"),
        "cond_out_layer": vae.flag("cond_out_layer", False),
    }
    for name, unsupported in wrong.items():
        if unsupported:
            raise CheckpointError(f"config.json: this 'audio_vae_config.{name}' is not supported.")
    rate = vae.integer("sample_rate", 16000)
    bounded = second and vae.content.get("sr_bin_boundaries", ()) is not None
    return VAEConfig(
        latent_dim=vae.integer("latent_dim", 64),
        encoder_dim=vae.integer("encoder_dim", 128),
        encoder_strides=vae.integers("encoder_rates", (2, 5, 8, 8)),
        encoder_rate=rate,
        decoder_dim=vae.integer("decoder_dim", 2048 if second else 1536),
        decoder_strides=vae.integers(
            "decoder_rates", (8, 6, 5, 2, 2, 2) if second else (8, 8, 5, 2)
        ),
        sample_rate=vae.integer("out_sample_rate", 48000) if second else rate,
        trims_odd_strides=second,
        rate_bounds=vae.integers("sr_bin_boundaries", (20000, 30000, 40000)) if bounded else None,
    )
