"""What a step should cost on an H100: its launches and bytes are counted, on the ``meta`` device.

A launch takes the longest of: 2.2 µs in a CUDA graph, or 6 µs of Python without one; its bytes at
70 % of 3.35 TB/s; its multiplications at 550 TFLOP/s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from voxcpm_openai.runtime.device.execution_path import ExecutionPath
from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.device.stages import AcousticStage, LMStage, Stages, VAEStage
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.ops import Ops, TorchOps

GRAPH_SECONDS, EAGER_SECONDS = 2.2e-6, 6e-6  # a launch
BYTES_PER_SECOND = 0.7 * 3.35e12
FLOP_PER_SECOND = 550e12
POSITION = 256
"""The positions that each row attends to."""
SPLIT_ROWS = 8
"""The largest batch whose decode attention splits the keys, which a third kernel combines."""


class Cost(TorchDispatchMode):
    """Counts operators that are kernels on a GPU, and adds up what they take."""

    def __init__(self, launch_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launch_seconds = launch_seconds
        self.launches = self.bytes = 0
        self.seconds = 0.0
        self._inside = False  # of an operator that is counted as a whole

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if not (self._inside or function.is_view or "empty" in function.__name__):
            count = flop_registry.get(function.overloadpacket)
            flop = count(*args, **(kwargs or {}), out_val=result) if count else 0
            self.add(1, tree_leaves((args, kwargs, result)), flop)
        return result

    def add(self, launches: int, tensors: Sequence[object], flop: int = 0) -> None:
        """Count kernels that read or write these tensors once together."""
        moved = sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))
        self.launches += launches
        self.bytes += moved
        self.seconds += max(
            launches * self.launch_seconds, moved / BYTES_PER_SECOND, flop / FLOP_PER_SECOND
        )

    def whole(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an operator without counting what it consists of."""
        self._inside = True
        try:
            return run(*args, **kwargs)
        finally:
            self._inside = False


class CountedOps:
    """Counts each operator as Triton's kernels; computes with PyTorch's, which store nothing."""

    gathers_kv, fuses_vae = False, True

    def __init__(self, cost: Cost) -> None:
        self._cost, self._torch = cost, TorchOps()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        run = getattr(self._torch, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            result = self._cost.whole(run, *args, **kwargs)
            self._cost.add(1, tree_leaves((args, kwargs, result)))
            return result

        return counted

    def noise(self, device: torch.device) -> Callable[..., Tensor]:
        """Count a draw as one kernel."""
        draw = self._torch.noise(device)

        def counted(*args: Any) -> Tensor:
            drawn: Tensor = self._cost.whole(draw, *args)
            self._cost.add(1, [drawn])
            return drawn

        return counted

    def decode_attention(
        self, qkv: Tensor, heads: Any, rope: Any, k: Tensor, v: Tensor, batch: Any
    ) -> Tensor:
        """Count two or three kernels, and the keys and values of the row's own positions."""
        result: Tensor = self._cost.whole(
            self._torch.decode_attention, qkv, heads, rope, k, v, batch
        )
        rows = len(qkv)
        keys = k[0, :, :POSITION].numel() * k.element_size() * rows  # bytes of all rows
        self._cost.add(3 if rows <= SPLIT_ROWS else 2, [qkv, result])
        self._cost.bytes += 2 * keys
        self._cost.seconds += 2 * keys / BYTES_PER_SECOND
        return result

    def snake_conv(self, x: Tensor, _conv: Any, past: Tensor, _slots: Tensor, dtype: Any) -> Tensor:
        """Count one kernel, which reads and writes the past of its rows."""
        return self._fused(x, past, x.new_empty(x.shape, dtype=dtype))

    def snake_pairs(self, x: Tensor, _snake: Any, past: Tensor, _slots: Tensor) -> Tensor:
        """Count one kernel, as ``snake_conv``."""
        return self._fused(x, past, x.new_empty(*x.shape[:2], 2 * x.shape[2]))

    def snake_output(
        self, x: Tensor, _snake: Any, _taps: Tensor, _bias: Tensor, past: Tensor, _slots: Tensor
    ) -> Tensor:
        """Count one kernel, as ``snake_conv``."""
        return self._fused(x, past, x.new_empty(x.shape[:2], dtype=torch.float32))

    def _fused(self, x: Tensor, past: Tensor, y: Tensor) -> Tensor:
        state = past[: len(x)]
        self._cost.add(1, [x, state, state, y])
        return y


@torch.inference_mode()
def predicted(
    config: ModelConfig, dtype: torch.dtype, path: ExecutionPath, rows: int, evaluations: int
) -> dict[str, float]:
    """Return the launches, gigabytes and milliseconds of a step of ``rows`` rows on a path."""
    model = outline(config, dtype).model
    cost = Cost(GRAPH_SECONDS if path.graphs else EAGER_SECONDS)
    if path.kernels == "triton":
        model.use(cast("Ops", CountedOps(cost)))
    length = min(POSITION, config.max_length)
    stages = Stages(model, model.new_slots(rows + 1, length))
    with cost:
        stages.run(LMStage(rows, 0, length))
        stages.run(AcousticStage(rows, evaluations))
        stages.run(VAEStage(rows))
    return {
        "predicted_launches": cost.launches,
        "predicted_gb": cost.bytes / 1e9,
        "predicted_ms": cost.seconds * 1e3,
    }
