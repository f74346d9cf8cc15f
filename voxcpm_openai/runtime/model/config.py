"""What ``config.json`` says, as frozen dataclasses.

The defaults are upstream's: the first checkpoint (VoxCPM-0.5B) leaves many fields out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from voxcpm_openai.runtime.checkpoint import CheckpointError


@dataclass(frozen=True)
class StackConfig:
    """One MiniCPM stack: a language model, LocEnc's or LocDiT's."""

    width: int  # of the residual stream
    inner: int  # of the MLP
    layers: int
    heads: int
    kv_heads: int  # keys and values are shared by heads / kv_heads queries
    head: int  # width of one head
    epsilon: float  # of RMSNorm
    residual_scale: float  # what a layer adds is multiplied by it (muP); 1 without muP
    rope: RopeConfig | None


@dataclass(frozen=True)
class RopeConfig:
    """Rotary positions with a factor for each frequency (LongRoPE, arXiv:2402.13753)."""

    theta: float
    factors: tuple[float, ...]  # head / 2 of them
    scale: float  # cosines and sines are multiplied by it


@dataclass(frozen=True)
class VaeConfig:
    """The audio VAE.  Rates in samples a second; strides multiply to samples a frame."""

    latent: int
    encoder_width: int
    encoder_strides: tuple[int, ...]
    encoder_rate: int
    decoder_width: int
    decoder_strides: tuple[int, ...]
    sample_rate: int
    trims_odd_strides: bool  # VoxCPM2's encoder pads one sample less where a stride is odd
    rate_bounds: tuple[int, ...] | None  # bins of the output rate that condition the decoder

    @property
    def frame_in(self) -> int:
        """Samples that become one frame."""
        return math.prod(self.encoder_strides)

    @property
    def frame_out(self) -> int:
        """Samples that one frame becomes."""
        return math.prod(self.decoder_strides)


@dataclass(frozen=True)
class ModelConfig:
    """A whole checkpoint."""

    architecture: str  # voxcpm (0.5B, 1.5) or voxcpm2
    vocabulary: int
    embedding_scale: float
    patch: int  # latent frames a patch (P)
    channels: int  # of a latent frame (C)
    levels: int  # of the scalar quantisation, on each side of zero
    quantised: int  # width that is quantised
    max_length: int  # positions of text and audio together
    mean_velocity: bool  # the solver tells LocDiT the length of its step
    base: StackConfig
    residual: StackConfig
    encoder: StackConfig
    dit: StackConfig
    vae: VaeConfig


class _Fields:
    """An object of the JSON that names the field that is missing or of the wrong kind."""

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
    """Turn ``config.json`` into a ``ModelConfig``; the first wrong field is named."""
    fields = _Fields(content)
    architecture = str(content.get("architecture", "voxcpm")).lower()
    if architecture not in ("voxcpm", "voxcpm2"):
        raise CheckpointError(
            f"config.json: 'architecture' is '{architecture}'; this runtime knows voxcpm, voxcpm2."
        )
    second = architecture == "voxcpm2"
    lm, dit = fields.under("lm_config"), fields.under("dit_config")
    base = _stack(lm)
    residual = replace(base, layers=fields.integer("residual_lm_num_layers", 8 if second else 6))
    if second and fields.flag("residual_lm_no_rope", False):
        residual = replace(residual, rope=None)
    return ModelConfig(
        architecture=architecture,
        vocabulary=lm.integer("vocab_size"),
        embedding_scale=lm.number("scale_emb") if lm.flag("use_mup", True) else 1.0,
        patch=fields.integer("patch_size", 4 if second else 2),
        channels=fields.integer("feat_dim", 64),
        levels=fields.integer("scalar_quantization_scale", 9),
        quantised=fields.integer("scalar_quantization_latent_dim", 512 if second else 256),
        max_length=fields.integer("max_length", 8192 if second else 4096),
        mean_velocity=(dit if second else fields).flag("dit_mean_mode", False),
        base=base,
        residual=_scaled(lm, residual),
        encoder=_local(lm, fields.under("encoder_config")),
        dit=_local(lm, dit),
        vae=_vae(fields.under("audio_vae_config", {}), second),
    )


def _stack(lm: _Fields) -> StackConfig:
    """The base language model."""
    width, heads = lm.integer("hidden_size"), lm.integer("num_attention_heads")
    head = lm.integer("kv_channels", width // heads)
    stack = StackConfig(
        width=width,
        inner=lm.integer("intermediate_size"),
        layers=lm.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=lm.integer("num_key_value_heads"),
        head=head,
        epsilon=lm.number("rms_norm_eps"),
        residual_scale=1.0,
        rope=None if lm.flag("no_rope", False) else _rope(lm, head),
    )
    return _scaled(lm, stack)


def _local(lm: _Fields, own: _Fields) -> StackConfig:
    """LocEnc's or LocDiT's stack: the language model's fields with some of their own."""
    width, heads = own.integer("hidden_dim", 1024), own.integer("num_heads", 16)
    head = own.integer("kv_channels", width // heads)
    stack = replace(
        _stack(lm),
        width=width,
        inner=own.integer("ffn_dim", 4096),
        layers=own.integer("num_layers", 4),
        heads=heads,
        head=head,
        rope=None if lm.flag("no_rope", False) else _rope(lm, head),
    )
    return _scaled(lm, stack)


def _scaled(lm: _Fields, stack: StackConfig) -> StackConfig:
    """With muP the depth of this very stack decides how much each layer adds."""
    if not lm.flag("use_mup", True):
        return stack
    return replace(stack, residual_scale=lm.number("scale_depth") / math.sqrt(stack.layers))


def _rope(lm: _Fields, head: int) -> RopeConfig:
    """LongRoPE: long factors where the model goes beyond the length it began with."""
    scaling = lm.under("rope_scaling")
    longest, first = (
        lm.integer("max_position_embeddings"),
        scaling.integer("original_max_position_embeddings"),
    )
    name = "long_factor" if longest > first else "short_factor"
    factors = scaling.numbers(name)
    if len(factors) != head // 2:
        raise CheckpointError(
            f"config.json: 'lm_config.rope_scaling.{name}' has {len(factors)} factors, "
            f"but a head of {head} needs {head // 2}."
        )
    scale = math.sqrt(1 + math.log(longest / first) / math.log(first))
    return RopeConfig(theta=lm.number("rope_theta"), factors=factors, scale=scale)


def _vae(vae: _Fields, second: bool) -> VaeConfig:
    """The VAE of either generation; variants that no checkpoint uses are refused by name."""
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
    return VaeConfig(
        latent=vae.integer("latent_dim", 64),
        encoder_width=vae.integer("encoder_dim", 128),
        encoder_strides=vae.integers("encoder_rates", (2, 5, 8, 8)),
        encoder_rate=rate,
        decoder_width=vae.integer("decoder_dim", 2048 if second else 1536),
        decoder_strides=vae.integers(
            "decoder_rates", (8, 6, 5, 2, 2, 2) if second else (8, 8, 5, 2)
        ),
        sample_rate=vae.integer("out_sample_rate", 48000) if second else rate,
        trims_odd_strides=second,
        rate_bounds=vae.integers("sr_bin_boundaries", (20000, 30000, 40000)) if bounded else None,
    )
