"""How long a CPU takes for a step's matrix products in each dtype, kept in a file.  No torch.

``device/cpu_dtype`` measures them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from voxcpm_openai.files import replaced

logger = logging.getLogger(__name__)

ACCURATE = ("float32", "bfloat16")
"""The dtypes that change the first patch by less than 2 %: int8 changes it by 5 %."""
ADVANTAGE = 1.05
"""So many times as fast as float32 another dtype must be."""

Times = dict[str, float]
"""Milliseconds of a step's products, by dtype."""


def choice(times: Times) -> str:
    """Return the fastest dtype of ``ACCURATE``, float32 unless another is clearly faster."""
    best = min(ACCURATE, key=times.__getitem__)
    return best if times[best] * ADVANTAGE < times["float32"] else "float32"


def kept(folder: Path, threads: int) -> Times | None:
    """Return the times of an earlier start with as many threads, or None."""
    key = _key(threads)
    try:
        content = json.loads(_file(folder, key).read_text(encoding="utf-8"))
        times = {str(name): float(ms) for name, ms in content["ms"].items()}
        return times if content["key"] == key and set(ACCURATE) <= set(times) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(folder: Path, threads: int, times: Times) -> None:
    """Keep the times; without the folder each start measures again."""
    key = _key(threads)
    file = _file(folder, key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(file) as draft:
            draft.write_text(json.dumps({"key": key, "ms": times}, indent=1), encoding="utf-8")
    except OSError as error:
        logger.warning("the times of this CPU's products are not kept: %s", error)


def _key(threads: int) -> dict[str, object]:
    """Return all that the times depend on."""
    return {"processor": _processor(), "torch": _torch(), "threads": threads}


def _torch() -> str:
    """Return the version of PyTorch, which is not imported for it."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


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
