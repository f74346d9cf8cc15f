"""Compiles every kernel for an H100, with the models' arguments, on a machine without a GPU.

    python -m tests.support.runtime.compiled [FOLDER]

Prints a line for each: a name, the bytes of shared memory, and "cubin".  The code is written to
FOLDER, for ``ptxas -v`` and ``cuobjdump --dump-resource-usage``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget

from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.kernels import triton_ops
from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps
from voxcpm_openai.runtime.model.ops import HeadLayout, Rope
from voxcpm_openai.runtime.model.state import TokenBatch

HOPPER = GPUTarget("cuda", 90, 32)
CALLS = (
    ("2", torch.bfloat16),
    ("1.5", torch.bfloat16),
    ("tiny", torch.bfloat16),  # the GPU benchmark compares it with a CPU
    ("tiny", torch.float32),
    ("2", torch.float32),
)


class FakeDriver:
    """Reports an H100.  Enough to compile, not to run."""

    def get_current_target(self) -> GPUTarget:
        return HOPPER

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0


class Compiler:
    """Replaces ``triton_ops._launch``: compiles for these arguments and runs nothing."""

    def __init__(self) -> None:
        self.compiled: dict[str, Any] = {}
        self.label = ""

    def __call__(
        self, kernel: Any, grid: tuple[int, ...], *arguments: Any, **settings: Any
    ) -> None:
        name = f"{kernel.fn.__module__.rpartition('.')[2]}.{kernel.fn.__name__} {self.label}"
        compiled = kernel.warmup(*arguments, grid=grid, **settings)
        self.compiled[f"{name} {compiled.hash[:6]}"] = compiled


def call(compiler: Compiler, model: str, dtype: torch.dtype) -> None:
    """Call every operator with a model's sizes: for one row, where keys are split, and for 64."""
    second, tiny = model == "2", model == "tiny"
    ops = TritonOps()
    width, inner = {"2": (2048, 6144), "1.5": (1024, 4096), "tiny": (48, 96)}[model]
    heads = {
        "2": HeadLayout(16, 2, 128),
        "1.5": HeadLayout(16, 2, 64),
        "tiny": HeadLayout(4, 2, 16),
    }[model]
    local_width, local_inner = (80, 96) if tiny else (1024, 4096)
    prefix = 3 if second else 1
    angles = torch.zeros(8192, heads.head_dim)
    for rows in (1, 64):
        compiler.label = f"{model} {rows} {str(dtype).removeprefix('torch.')}"

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=dtype)

        for tokens, size, mlp in ((1, width, inner), (prefix + 8, local_width, local_inner)):
            x = zeros(rows, tokens, size)
            ops.norm(x, zeros(size), 1e-5)
            ops.add_norm(x, x, zeros(size), 1e-5)
            ops.swiglu(zeros(rows, tokens, 2 * mlp))
        part = zeros(rows, prefix + 8, local_width)[:, prefix + 4 :]
        ops.add_norm(part, zeros(rows, 4, local_width), zeros(local_width), 1e-5)
        for tokens, keep in ((prefix + 8, slice(None)), (prefix + 8, slice(prefix + 4, None)),
                             (5, slice(None)), (5, slice(0, 1))):  # fmt: skip
            ops.attention(
                zeros(2 * rows, tokens, heads.qkv_size), heads, Rope(angles, angles), keep
            )
        index = torch.zeros(rows, dtype=torch.int64)
        batch = TokenBatch(index, index, index, index, index, index, 1, None)
        k = zeros(rows + 1, heads.num_kv_heads, 1024, heads.head_dim)
        for rope in (Rope(angles, angles), None):
            ops.decode_attention(zeros(rows, heads.qkv_size), heads, rope, k, k, batch)
        frames = zeros(rows, 4, local_width)
        ops.build_dit_input(
            zeros(rows, prefix - second, local_width), zeros(rows, 96, local_width)[:, 0], frames,
            frames, separate_time=second,
        )  # fmt: skip
        x, cfg, steps = torch.zeros(rows, 4, 64), torch.zeros(rows), torch.zeros(rows, 96)[:, 0]
        ops.cfg_euler_step(x, zeros(2 * rows, 4, 64), cfg, steps)
        ops.noise(torch.device("cpu"))(index, index, 64, 4)
        alpha = torch.ones(1, 1024, 1)
        ops.snake(torch.zeros(rows, 1024, 32), alpha, alpha)
        ops.snake(torch.zeros(rows, 1024, 4 * 7), alpha, alpha)
        call_vae(ops, model, rows, torch.float32 if dtype == torch.float32 else torch.float16)


def call_vae(ops: TritonOps, model: str, rows: int, dtype: torch.dtype) -> None:
    """Call the operators of the VAE with the sizes of its first, a middle and its last block."""
    second = model == "2"
    lengths = (4, 32, 960, 7680) if second else (4, 28, 1176, 7056)
    channels = (24, 12, 6) if model == "tiny" else (1024, 256, 32 if second else 64)
    slots = torch.zeros(rows, dtype=torch.int64)

    def past_of(size: int, past: int) -> Tensor:
        """A part of each slot's state; other parts are beside it."""
        return torch.zeros(rows + 1, (size + 16) * past)[:, : size * past].view(-1, size, past)

    def snake_of(size: int, *, scaled: bool = False) -> ChannelSnake:
        one = torch.ones(size)
        return ChannelSnake(one, one, one, one if scaled else None)

    first = DepthwiseConv(torch.zeros(7, 64), torch.zeros(64))
    ops.snake_conv(torch.zeros(rows, lengths[0], 64), first, past_of(64, 6), slots, dtype)
    for size, length in zip(channels, lengths[1:], strict=True):
        x = torch.zeros(rows, length, size, dtype=dtype)
        for dilation in (1, 3, 9):
            taps, snake = torch.zeros(7, size), snake_of(size)
            conv = DepthwiseConv(taps, torch.zeros(size), dilation, snake, snake)
            ops.snake_conv(x, conv, past_of(size, 6 * dilation), slots, dtype)
        ops.snake_pairs(x, snake_of(size, scaled=second), past_of(size, 1), slots)
    ops.snake_output(x, snake, taps, torch.zeros(1), past_of(size, 6), slots)


def main(folder: Path | None) -> None:
    triton.runtime.driver.set_active(FakeDriver())
    compiler = Compiler()
    triton_ops._launch = compiler
    for model, dtype in CALLS:
        call(compiler, model, dtype)
    for name, kernel in compiler.compiled.items():
        print(f"{name}: {kernel.metadata.shared} bytes,", "cubin" if kernel.asm["cubin"] else "-")
        if folder is not None:
            for kind in ("ptx", "cubin"):
                code = kernel.asm[kind]
                path = folder / f"{name.replace(' ', '_')}.{kind}"
                path.write_bytes(code.encode() if isinstance(code, str) else code)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
