"""LocEnc: a patch of latents becomes one token of the language models."""

from __future__ import annotations

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.transformer import Transformer


class LocalEncoder:
    """A summary token in front of the frames of a patch; its output is the patch's embedding."""

    def __init__(self, weights: Weights, config: ModelConfig, ops: Ops) -> None:
        encoder, hidden_size = weights.under("feat_encoder"), config.encoder.hidden_size
        self.in_proj = linear(encoder, "in_proj", config.channels, hidden_size)
        self.summary = encoder.tensor("special_token", 1, 1, 1, hidden_size)[0]  # [1, 1, W']
        self.transformer = Transformer(
            encoder.under("encoder"), config.encoder, config.patch_size + 1, ops
        )
        self.out_proj = linear(weights, "enc_to_lm_proj", hidden_size, config.base.hidden_size)
        self.dtype = weights.dtype
        self.outputs = config.base.hidden_size

    def __call__(self, patches: Tensor) -> Tensor:
        """``patches [N, P, C]`` in float32 to embeddings ``[N, W]``; N may be 0."""
        if not len(patches):  # fused attention may refuse a batch of 0, and the rest takes time
            return patches.new_empty(0, self.outputs, dtype=self.dtype)  # [0, W]
        frames = self.in_proj(patches.to(self.dtype))  # [N, P, W']
        summary = self.summary.expand(patches.shape[0], -1, -1)  # [N, 1, W']
        tokens = torch.cat((summary, frames), dim=1)  # [N, 1 + P, W']
        return self.out_proj(self.transformer.encode(tokens, slice(0, 1))[:, 0])  # [N, W]
