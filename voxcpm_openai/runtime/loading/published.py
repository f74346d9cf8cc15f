"""The three published checkpoints: what their ``config.json`` says, and their files.  No torch.

Only fields that the runtime reads are here.  A checkpoint in a folder always runs by its own
``config.json``; these serve to recognize it, and to compute sizes without any file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OWNER = "openbmb"
"""Who publishes the checkpoints on the hub."""

# LongRoPE's factors, the long and the short ones alike: one for each pair of a head's dimensions.
FACTORS_32 = (
    1.0004360675811768, 1.0668443441390991, 1.1631425619125366, 1.3025742769241333,
    1.5040205717086792, 1.7941505908966064, 2.2101221084594727, 2.802666664123535,
    3.6389970779418945, 4.804192543029785, 6.39855432510376, 8.527148246765137,
    11.277542114257812, 14.684998512268066, 18.69317054748535, 23.13019371032715,
    27.72362518310547, 32.1606559753418, 36.168827056884766, 39.57627868652344,
    42.32667541503906, 44.45526885986328, 46.04962921142578, 47.21482849121094,
    48.05115509033203, 48.64370346069336, 49.05967712402344, 49.34980392456055,
    49.551246643066406, 49.69068145751953, 49.78697967529297, 49.85338592529297,
)  # fmt: skip
FACTORS_64 = (
    0.9977997200264581, 1.014658295992452, 1.0349680404997148, 1.059429246056193,
    1.0888815016813513, 1.1243301355211495, 1.166977103606075, 1.2182568066927284,
    1.2798772354275727, 1.3538666751582975, 1.4426259039919596, 1.5489853358570191,
    1.6762658237220625, 1.8283407612492941, 2.0096956085876183, 2.225478927469756,
    2.481536379650452, 2.784415934557119, 3.1413289096347365, 3.560047844772632,
    4.048719380066383, 4.615569542115128, 5.2684819496549835, 6.014438591970396,
    6.858830049237097, 7.804668263503327, 8.851768731513417, 9.99600492938444,
    11.228766118181639, 12.536757560834843, 13.902257701387796, 15.303885189125953,
    16.717837610115794, 18.119465097853947, 19.484965238406907, 20.792956681060105,
    22.02571786985731, 23.16995406772833, 24.217054535738416, 25.16289275000465,
    26.007284207271347, 26.753240849586767, 27.40615325712662, 27.973003419175363,
    28.461674954469114, 28.880393889607006, 29.237306864684626, 29.540186419591297,
    29.79624387177199, 30.01202719065413, 30.193382037992453, 30.34545697551969,
    30.47273746338473, 30.579096895249787, 30.66785612408345, 30.741845563814174,
    30.80346599254902, 30.85474569563567, 30.897392663720595, 30.932841297560394,
    30.962293553185553, 30.986754758742034, 31.007064503249293, 31.02392307921529,
)  # fmt: skip


@dataclass(frozen=True)
class PublishedModel:
    """A published checkpoint: its name, its configuration, and the file of its language models.

    The VAE of all three is ``audiovae.pth``, in float32.
    """

    name: str
    config: Mapping[str, Any]
    model_file: str = "model.safetensors"

    @property
    def hub_id(self) -> str:
        """The id on the hub."""
        return f"{OWNER}/{self.name}"


def find(name: str) -> PublishedModel | None:
    """Return the checkpoint of a name or hub id, in any case: ``voxcpm2``, ``openbmb/VoxCPM2``."""
    owner, _, name = name.lower().rpartition("/")
    matching = (model for model in MODELS if model.name.lower() == name)
    return None if owner not in ("", OWNER) else next(matching, None)


def _lm(
    hidden_size: int, intermediate_size: int, layers: int, factors: tuple[float, ...]
) -> dict[str, Any]:
    return {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "max_position_embeddings": 32768,
        "num_attention_heads": 16,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": list(factors),
            "short_factor": list(factors),
            "original_max_position_embeddings": 32768,
        },
        "vocab_size": 73448,
        "use_mup": False,
        "scale_emb": 12,
        "dim_model_base": 256,
        "scale_depth": 1.4,
    }


def _config(
    architecture: str, lm: dict[str, Any], layers: tuple[int, int], vae: dict[str, Any]
) -> dict[str, Any]:
    """Return a ``config.json``; ``layers``: of the residual LM, of LocEnc and LocDiT each."""
    second = architecture == "voxcpm2"
    head = {"kv_channels": 128} if second else {}
    local = {"hidden_dim": 1024, "ffn_dim": 4096, "num_heads": 16, "num_layers": layers[1], **head}
    return {
        "architecture": architecture,
        "lm_config": {**lm, **head},
        "patch_size": 4,
        "feat_dim": 64,
        "residual_lm_num_layers": layers[0],
        "residual_lm_no_rope": second,
        "scalar_quantization_latent_dim": 512 if second else 256,
        "scalar_quantization_scale": 9,
        "encoder_config": local,
        "dit_config": {**local, "cfm_config": {"inference_cfg_rate": 2.0}},
        "audio_vae_config": {"latent_dim": 64, **vae},
        "max_length": 8192,
        "dtype": "bfloat16",
    }


_FIRST_VAE = {
    "encoder_dim": 128,
    "encoder_rates": [2, 5, 8, 8],
    "decoder_dim": 1536,
    "decoder_rates": [8, 8, 5, 2],
    "sample_rate": 16000,
}
_SECOND_VAE = {
    "encoder_dim": 64,
    "encoder_rates": [2, 3, 6, 7, 7],
    "decoder_dim": 2048,
    "decoder_rates": [7, 7, 6, 3, 2],
    "sample_rate": 44100,
}
_THIRD_VAE = {
    "encoder_dim": 128,
    "encoder_rates": [2, 5, 8, 8],
    "decoder_dim": 2048,
    "decoder_rates": [8, 6, 5, 2, 2, 2],
    "sr_bin_boundaries": [20000, 30000, 40000],
    "sample_rate": 16000,
    "out_sample_rate": 48000,
}
_SMALL_LM = _lm(1024, 4096, 24, FACTORS_32)

MODELS = (
    PublishedModel(
        "VoxCPM-0.5B",
        {**_config("voxcpm", _SMALL_LM, (6, 4), _FIRST_VAE), "patch_size": 2, "max_length": 4096},
        "pytorch_model.bin",
    ),
    PublishedModel("VoxCPM1.5", _config("voxcpm", _SMALL_LM, (8, 8), _SECOND_VAE)),
    PublishedModel(
        "VoxCPM2", _config("voxcpm2", _lm(2048, 6144, 28, FACTORS_64), (8, 12), _THIRD_VAE)
    ),
)
"""The checkpoints, the oldest first."""
