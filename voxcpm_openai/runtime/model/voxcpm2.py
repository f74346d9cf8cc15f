"""VoxCPM2: a reference clip before the text, and other ways to combine the hidden states.

sequence   103, patches of the reference, 104, text of the prompt + text, 101, the prompt
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.state import KVPrefix, SpeakerPrompt
from voxcpm_openai.runtime.model.voxcpm import AUDIO_START, SequencePart, Tokenizer, VoxCPM

REFERENCE_START, REFERENCE_END = 103, 104


class VoxCPM2(VoxCPM):
    """A loaded VoxCPM2."""

    separate_time = True
    context = 3

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        vae: Weights,
        tokenizer: Tokenizer,
        ops: Ops,
    ) -> None:
        super().__init__(config, weights, vae, tokenizer, ops)
        hidden = config.base.hidden_size
        self.fusion = linear(weights, "fusion_concat_proj", 2 * hidden, hidden)

    @torch.inference_mode()
    def prefix(self, reference: Tensor) -> KVPrefix:
        """Prefill a reference ``[T, P, C]``, once for all texts that follow it."""
        slots = self.new_slots(1, len(reference) + 2)
        self.prefill_next(slots, 0, self._reference_parts(reference))
        return slots.save(0)

    def _parts(
        self, ids: list[int], prompt: SpeakerPrompt | None, reference: Tensor | KVPrefix | None
    ) -> list[SequencePart]:
        parts = self._reference_parts(reference) if isinstance(reference, Tensor) else []
        parts.append([*ids, AUDIO_START])
        return parts if prompt is None else [*parts, prompt.tokens]

    def _reference_parts(self, reference: Tensor) -> list[SequencePart]:
        return [[REFERENCE_START], self.local_encoder(reference.to(self.device)), [REFERENCE_END]]

    def _fuse(self, hidden: Tensor, encoded: Tensor) -> Tensor:
        return self.fusion(torch.cat((hidden, encoded), dim=-1))  # [..., W]

    def _dit_condition(self, hidden: Tensor, residual_hidden: Tensor) -> Tensor:
        return torch.stack(
            (self.lm_to_dit_proj(hidden), self.res_to_dit_proj(residual_hidden)), dim=1
        )  # [B, 2, W']
