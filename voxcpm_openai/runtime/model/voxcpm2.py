"""VoxCPM2: a reference clip in front of the text, and other ways to join the parts.

sequence   103, patches of the reference, 104, text of the prompt + text, 101, the prompt
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.state import Prefix, Prompt
from voxcpm_openai.runtime.model.voxcpm import AUDIO_START, Part, VoxCPM
from voxcpm_openai.runtime.tokenizer import TextTokenizer

REFERENCE_START, REFERENCE_END = 103, 104


class VoxCPM2(VoxCPM):
    """A loaded VoxCPM2."""

    separate_time = True
    context = 3

    def __init__(
        self, config: ModelConfig, weights: Weights, vae: Weights, tokenizer: TextTokenizer
    ) -> None:
        super().__init__(config, weights, vae, tokenizer)
        width = config.base.width
        self.fusion = linear(weights, "fusion_concat_proj", 2 * width, width)

    @torch.inference_mode()
    def prefix(self, reference: Tensor) -> Prefix:
        """Run a reference ``[T, P, C]`` once for all the texts that it will stand in front of."""
        alone = self.new_slots(1, len(reference) + 2)
        self._read(alone, 0, self._around(reference))
        return alone.save(0)

    def _parts(
        self, ids: list[int], prompt: Prompt | None, reference: Tensor | Prefix | None
    ) -> list[Part]:
        parts = self._around(reference) if isinstance(reference, Tensor) else []
        parts.append([*ids, AUDIO_START])
        return parts if prompt is None else [*parts, prompt.tokens]

    def _around(self, reference: Tensor) -> list[Part]:
        return [[REFERENCE_START], self.local(reference.to(self.device)), [REFERENCE_END]]

    def _mixed(self, hidden: Tensor, heard: Tensor) -> Tensor:
        return self.fusion(torch.cat((hidden, heard), dim=-1))  # [..., W]

    def _condition(self, hidden: Tensor, detail: Tensor) -> Tensor:
        return torch.stack(
            (self.base_to_flow(hidden), self.residual_to_flow(detail)), dim=1
        )  # [B, 2, W']
