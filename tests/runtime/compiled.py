"""Compiles every kernel as the models call it for an H100, on a machine without one.

    python -m tests.runtime.compiled [FOLDER]

Prints a line for each: a name, the bytes of shared memory, and "cubin".  FOLDER gets the code, as
``ptxas -v`` and ``cuobjdump --dump-resource-usage`` want it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget

from voxcpm_openai.runtime.kernels import ops as launcher
from voxcpm_openai.runtime.kernels.ops import TritonOps
from voxcpm_openai.runtime.model.ops import Heads, Rope
from voxcpm_openai.runtime.model.state import Rows

HOPPER = GPUTarget("cuda", 90, 32)
CALLS = (
    ("2", torch.bfloat16),
    ("1.5", torch.bfloat16),
    ("tiny", torch.bfloat16),  # what is compared with a CPU first
    ("tiny", torch.float32),
    ("2", torch.float32),
)


class NoDriver:
    """Says that an H100 is there; only running something would ask for more."""

    def get_current_target(self) -> GPUTarget:
        return HOPPER

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0


class Compiler:
    """In the place of ``launcher._launch``: compiles for the very arguments, and runs nothing."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.label = ""

    def __call__(self, kernel: Any, grid: tuple[int, ...], *given: Any, **settings: Any) -> None:
        name = f"{kernel.fn.__module__.rpartition('.')[2]}.{kernel.fn.__name__} {self.label}"
        made = kernel.warmup(*given, grid=grid, **settings)
        self.made[f"{name} {made.hash[:6]}"] = made


def call(compiler: Compiler, model: str, dtype: torch.dtype) -> None:
    """Call every operator at the sizes of a model: one row, where keys are shared out, and 64."""
    second, tiny = model == "2", model == "tiny"
    ops = TritonOps()
    width, inner = {"2": (2048, 6144), "1.5": (1024, 4096), "tiny": (48, 96)}[model]
    heads = {"2": Heads(16, 2, 128), "1.5": Heads(16, 2, 64), "tiny": Heads(4, 2, 16)}[model]
    local_width, local_inner = (80, 96) if tiny else (1024, 4096)
    every = (heads.own + 2 * heads.shared) * heads.width
    lead = 3 if second else 1
    angles = torch.zeros(8192, heads.width)
    for rows in (1, 64):
        compiler.label = f"{model} {rows} {str(dtype).removeprefix('torch.')}"

        def some(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=dtype)

        for tokens, wide, deep in ((1, width, inner), (lead + 8, local_width, local_inner)):
            x = some(rows, tokens, wide)
            ops.norm(x, some(wide), 1e-5)
            ops.add_norm(x, x, some(wide), 1e-5)
            ops.gated(some(rows, tokens, 2 * deep))
        kept = some(rows, lead + 8, local_width)[:, lead + 4 :]
        ops.add_norm(kept, some(rows, 4, local_width), some(local_width), 1e-5)
        for tokens, keep in ((lead + 8, slice(None)), (lead + 8, slice(lead + 4, None)),
                             (5, slice(None)), (5, slice(0, 1))):  # fmt: skip
            ops.see_all(some(2 * rows, tokens, every), heads, Rope(angles, angles), keep)
        whole = torch.zeros(rows, dtype=torch.int64)
        at = Rows(whole, whole, whole, whole, whole, whole, 1, None)
        k = some(rows + 1, heads.shared, 1024, heads.width)
        for rope in (Rope(angles, angles), None):
            ops.see_past(some(rows, every), heads, rope, k, k, at)
        frames = some(rows, 4, local_width)
        ops.line_up(
            some(rows, lead - second, local_width), some(rows, 96, local_width)[:, 0], frames,
            frames, separate=second,
        )  # fmt: skip
        single = torch.zeros(rows, 4, 64), torch.zeros(rows), torch.zeros(rows, 96)[:, 0]
        ops.guide(single[0], some(2 * rows, 4, 64), *single[1:])
        ops.noise(torch.device("cpu"))(whole, whole, 64, 4)
        alpha = torch.ones(1, 1024, 1)
        ops.snake(torch.zeros(rows, 1024, 32), alpha, alpha)
        ops.snake(torch.zeros(rows, 1024, 4 * 7), alpha, alpha)


def main(folder: Path | None) -> None:
    triton.runtime.driver.set_active(NoDriver())
    compiler = Compiler()
    launcher._launch = compiler
    for model, dtype in CALLS:
        call(compiler, model, dtype)
    for name, kernel in compiler.made.items():
        print(f"{name}: {kernel.metadata.shared} bytes,", "cubin" if kernel.asm["cubin"] else "-")
        if folder is not None:
            for kind in ("ptx", "cubin"):
                code = kernel.asm[kind]
                path = folder / f"{name.replace(' ', '_')}.{kind}"
                path.write_bytes(code.encode() if isinstance(code, str) else code)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
