"""LocEnc: a patch of latents becomes one token of the language models."""

from __future__ import annotations

import torch
from torch import Tensor

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.lm import Stack


class LocalEncoder:
    """A summary token in front of the frames of a patch; its output is the patch's embedding."""

    def __init__(self, weights: Weights, config: ModelConfig) -> None:
        encoder, width = weights.under("feat_encoder"), config.encoder.width
        self.frames = linear(encoder, "in_proj", config.channels, width)
        self.summary = encoder.tensor("special_token", 1, 1, 1, width)[0]  # [1, 1, W']
        self.stack = Stack(encoder.under("encoder"), config.encoder, config.patch + 1)
        self.out = linear(weights, "enc_to_lm_proj", width, config.base.width)
        self.dtype = weights.dtype

    def __call__(self, patches: Tensor) -> Tensor:
        """``patches [N, P, C]`` in float32 to embeddings ``[N, W]``."""
        frames = self.frames(patches.to(self.dtype))  # [N, P, W']
        summary = self.summary.expand(patches.shape[0], -1, -1)  # [N, 1, W']
        tokens = torch.cat((summary, frames), dim=1)  # [N, 1 + P, W']
        return self.out(self.stack.encode(tokens, slice(0, 1))[:, 0])  # [N, W]
