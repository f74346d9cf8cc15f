"""The fastest dtype of this CPU, measured at the first start: ``VOXCPM_DTYPE=auto``.

What a processor's flags promise says little: bfloat16 instructions of half the width are no faster
than float32, and with one row memory decides, which a shared machine divides.  So the products of a
step are timed, with weights of the true sizes, once for each processor and PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.model.config import ModelConfig, TransformerConfig, parse
from voxcpm_openai.runtime.model.linear import Int8, multiplies_int8, product
from voxcpm_openai.runtime.model.ops import TorchOps

logger = logging.getLogger(__name__)

ACCURATE = ("float32", "bfloat16")
"""The dtypes that change the first patch by less than 2 %: int8 changes it by 5 %."""
ADVANTAGE = 1.05
"""So many times as fast as float32 another dtype must be."""
EVALUATIONS = 10
"""Of LocDiT in a step."""
ROUNDS = 5
"""Each product is timed so often in each dtype; the shortest time counts."""

Times = dict[str, float]
"""Milliseconds of a step's products, by dtype."""


def fastest(folder: Path, threads: int) -> str:
    """Return the fastest dtype of ``ACCURATE``.

    The times are kept in ``folder``; with other ``threads`` they are measured again.
    """
    key = _key(threads)
    times = kept(folder, threads)
    if times is None:
        times = measure()
        _keep(_file(folder, key), key, times)
        shown = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
        logger.info("the matrix products of a step take on this CPU: %s", shown)
    return choice(times)


def choice(times: Times) -> str:
    """Return the fastest dtype of ``ACCURATE``, float32 unless another is clearly faster."""
    best = min(ACCURATE, key=times.__getitem__)
    return best if times[best] * ADVANTAGE < times["float32"] else "float32"


def kept(folder: Path, threads: int) -> Times | None:
    """Return the times of an earlier start, or None."""
    key = _key(threads)
    try:
        content = json.loads(_file(folder, key).read_text(encoding="utf-8"))
        times = {str(name): float(ms) for name, ms in content["ms"].items()}
        return times if content["key"] == key and set(ACCURATE) <= set(times) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


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


def _key(threads: int) -> dict[str, object]:
    """Return all that the times depend on."""
    return {"processor": _processor(), "torch": torch.__version__, "threads": threads}


def _processor() -> str:
    """Return the processor's name and flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "; ".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _file(folder: Path, key: dict[str, object]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{digest}.json"


def _keep(file: Path, key: dict[str, object], times: Times) -> None:
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"key": key, "ms": times}, indent=1), encoding="utf-8")
        draft.replace(file)
    except OSError as error:  # then each start measures again
        logger.warning("the times of this CPU's products are not kept: %s", error)
