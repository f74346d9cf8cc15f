"""The operators around products in 8 bits, in C++; see ``cpu_ops``."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from voxcpm_openai.runtime.model.cpu.library import function


class CpuInt8Ops:
    """The operators; the bits are those of PyTorch's but for the exponential of the gate."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._quantize = function(library, "quantize")
        self._rescale = function(library, "rescale")
        self._swiglu = function(library, "swiglu_int8")

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Find the scale of a row, then round it."""
        x = x.contiguous()
        y, scale = torch.empty(x.shape, dtype=torch.uint8), torch.empty(len(x), 1)
        self._quantize(x, y, scale, *x.shape, torch.get_num_threads())
        return y, scale  # [N, I], [N, 1]

    def rescale(self, y: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply in place, and add the bias."""
        self._rescale(y, scale, bias, *y.shape, torch.get_num_threads())
        return y  # [N, O]

    def swiglu(self, gate_up: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Rescale, gate and round a row while it is in the processor's cache."""
        rows, width = len(gate_up), gate_up.shape[1] // 2
        y, scales = torch.empty(rows, width, dtype=torch.uint8), torch.empty(rows, 1)
        self._swiglu(gate_up, scale, y, scales, rows, width, torch.get_num_threads())
        return y, scales  # [N, I], [N, 1]
