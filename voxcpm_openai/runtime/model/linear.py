"""A matrix product with its weights; every product of the model but the VAE's is one of these."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from voxcpm_openai.runtime.checkpoint import Weights


@dataclass(frozen=True)
class Linear:
    """``y = x W' + b``."""

    weight: Tensor  # [outputs, inputs]
    bias: Tensor | None  # [outputs]

    def __call__(self, x: Tensor) -> Tensor:
        """``x [..., inputs]`` to ``[..., outputs]``."""
        return F.linear(x, self.weight, self.bias)  # [..., outputs]


def linear(weights: Weights, name: str, inputs: int, outputs: int, *, bias: bool = True) -> Linear:
    """Load the layer ``name``, with its bias unless it has none."""
    layer = weights.under(name)
    return Linear(
        layer.tensor("weight", outputs, inputs), layer.tensor("bias", outputs) if bias else None
    )
