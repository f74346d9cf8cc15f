"""What the VAE's decoder takes of a GPU at true size, counted on the ``meta`` device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.loading.published import find
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.ops import TorchOps


class Traffic(TorchDispatchMode):
    """Counts operators that are kernels on a GPU, and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.bytes = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if not function.is_view and "empty" not in function.__name__:
            self.add(tree_leaves((args, kwargs, result)))
        return result

    def add(self, tensors: Sequence[object]) -> None:
        self.launches += 1
        self.bytes += sum(t.nbytes for t in tensors if isinstance(t, Tensor))


class Fused(TorchOps):
    """The fused operators as one kernel each, which compute nothing."""

    fuses_vae = True

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic

    def made(self, x: Tensor, past: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
        y = torch.empty(*x.shape[:2], channels, dtype=dtype, device=x.device)
        state = past[: len(x)]  # read and written
        self.traffic.add([x, state, state, y])
        return y

    def snake_conv(
        self, x: Tensor, _: DepthwiseConv, past: Tensor, __: Tensor, dtype: torch.dtype
    ) -> Tensor:
        return self.made(x, past, x.shape[2], dtype)

    def snake_pairs(self, x: Tensor, _: ChannelSnake, past: Tensor, __: Tensor) -> Tensor:
        return self.made(x, past, 2 * x.shape[2], x.dtype)

    def snake_output(
        self, x: Tensor, _: ChannelSnake, __: Tensor, ___: Tensor, past: Tensor, ____: Tensor
    ) -> Tensor:
        return self.made(x, past, 1, torch.float32)[..., 0]


@pytest.mark.parametrize(
    ("name", "launches", "megabytes"),
    [("VoxCPM1.5", 43, {1: 142, 8: 527, 64: 3602}), ("VoxCPM2", 51, {1: 139, 8: 464, 64: 3070})],
)
def test_the_launches_and_bytes_of_a_step_are_those_of_the_decision(
    name: str, launches: int, megabytes: dict[int, int]
) -> None:
    published = find(name)
    assert published
    decoder = outline(parse(dict(published.config)), torch.bfloat16).model.decoder
    decoder.fused = decoder.in_float16()
    for rows, expected in megabytes.items():
        buffers = [torch.zeros(rows + 1, *shape, device="meta") for shape in decoder.conv_shapes]
        slots = torch.zeros(rows, dtype=torch.int64, device="meta")
        latents = torch.zeros(rows, 4, 64, device="meta")  # [B, P, C]
        traffic = Traffic()
        decoder.ops = Fused(traffic)
        with torch.inference_mode(), traffic:
            decoder(latents.transpose(1, 2), buffers, slots)
        assert traffic.launches == launches
        assert traffic.bytes / 1e6 == pytest.approx(expected, rel=0.05)
