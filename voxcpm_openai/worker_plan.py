"""How many workers a server has, and which GPU each is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxcpm_openai import gpus
from voxcpm_openai.registry import EngineChoice
from voxcpm_openai.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The number of workers and why; ``gpus``: those they are given, none for those of a CPU."""

    workers: int
    reason: str
    gpus: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def plan_workers(
    settings: Settings, choice: EngineChoice, workers: int | Literal["auto"]
) -> WorkerPlan:
    """Return what a server with this engine starts; ``workers``: as the operator wants it.

    Raises StartError if the engine is to run on a GPU that is not there, and if its plugin fails.
    """
    found, why = _gpus_of(choice.device(settings))
    if workers == "auto":
        return WorkerPlan(max(1, len(found)), why, found)
    warnings = []
    if found and workers > len(found):
        shared = f"{len(found)} GPUs" if len(found) > 1 else "one GPU"
        warnings.append(
            f"{workers} workers share {shared} ({gpus.shown(found)}), each with a model of its "
            "own. VOXCPM_WORKERS=auto runs one for each GPU."
        )
    return WorkerPlan(workers, "as it is set", found, tuple(warnings))


def _gpus_of(device: str) -> tuple[tuple[str, ...], str]:
    """Return the GPUs that an engine's workers are given, and a reason for their number."""
    if (named := gpus.named_gpu(device)) is not None:
        return (named,), f"the engine runs on {device}"
    if device not in {"auto", "cuda"}:
        return (), f"the engine runs on {device}"
    found = gpus.visible()
    if found is None:
        return (), "no GPU was found"
    if not found:
        return (), "the environment hides all GPUs"
    return found, f"one for each GPU: {gpus.shown(found)}"
