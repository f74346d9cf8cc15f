"""The fastest dtype of this CPU, measured at the first start: ``VOXCPM_DTYPE=auto``.

What a processor's flags promise says little: bfloat16 instructions of half the width are no faster
than float32, and with one row memory decides, which a shared machine divides.  So the products of a
step are timed, with weights of the true sizes, once for each processor and PyTorch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from voxcpm_openai.runtime.dtype_times import ACCURATE, Times, choice, keep, kept
from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.model.config import ModelConfig, TransformerConfig, parse
from voxcpm_openai.runtime.model.linear import Int8, multiplies_int8, product
from voxcpm_openai.runtime.model.ops import TorchOps

logger = logging.getLogger(__name__)

EVALUATIONS = 10
"""Of LocDiT in a step."""
ROUNDS = 5
"""Each product is timed so often in each dtype; the shortest time counts."""


def fastest(folder: Path, threads: int) -> str:
    """Return the fastest dtype of ``ACCURATE``.

    The times are kept in ``folder``; with other ``threads`` they are measured again.
    """
    times = kept(folder, threads)
    if times is None:
        times = measure()
        keep(folder, threads, times)
        shown = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
        logger.info("the matrix products of a step take on this CPU: %s", shown)
    return choice(times)


def measure(clock: Callable[[], float] = time.perf_counter) -> Times:
    """Time the products of a step of one stream of VoxCPM1.5; it takes about a second.

    One layer of each kind is timed, and counted as often as a step has it.  ``clock``: in seconds.
    """
    model = next(one for one in published.MODELS if one.name == "VoxCPM1.5")
    config = parse(dict(model.config))
    times: Times = {}
    with torch.inference_mode():
        for rows, inputs, outputs, count in products(config):
            for name, run in _runs(rows, inputs, outputs):
                run()  # some are prepared at the first call
                elapsed = []
                for _ in range(ROUNDS):
                    begun = clock()
                    run()
                    elapsed.append(clock() - begun)
                times[name] = times.get(name, 0.0) + count * min(elapsed) * 1000
    return times


def products(config: ModelConfig) -> Iterator[tuple[int, int, int, int]]:
    """Yield rows, inputs, outputs and number of the products of a step of one stream.

    LocDiT reads two patches and one condition, with and without guidance.
    """
    patch = config.patch_size
    yield from _layers(config.base, 1, 1)
    yield from _layers(config.residual, 1, 1)
    yield from _layers(config.encoder, patch + 1, 1)
    yield from _layers(config.dit, 2 * (2 * patch + 1), EVALUATIONS)


def _layers(
    config: TransformerConfig, rows: int, calls: int
) -> Iterator[tuple[int, int, int, int]]:
    width, inner = config.hidden_size, config.intermediate_size
    heads = config.num_heads * config.head_dim
    both = 2 * config.num_kv_heads * config.head_dim
    shapes = ((width, heads + both), (heads, width), (width, 2 * inner), (inner, width))
    for inputs, outputs in shapes:
        yield rows, inputs, outputs, calls * config.num_layers


def _runs(rows: int, inputs: int, outputs: int) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Yield each dtype's product of ``x [rows, inputs]`` with random weights."""
    x = torch.rand(rows, inputs)  # [N, I]
    weight = torch.rand(outputs, inputs)  # [O, I]
    for name in ACCURATE:
        dtype = getattr(torch, name)
        yield name, partial(product(weight.to(dtype), None), x.to(dtype))
    if multiplies_int8():
        eight = Int8(*Int8.quantized(weight), None, TorchOps())
        quantized, _ = eight.ops.int8.quantize(x)  # [N, I]
        yield "int8", partial(eight.multiply, quantized)
