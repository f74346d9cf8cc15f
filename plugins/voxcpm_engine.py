"""The voxcpm engine: VoxCPM 0.5B, 1.5 and 2, batched, on a GPU or a CPU."""

from __future__ import annotations

import importlib.util
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from voxcpm_openai import Engine, EngineSpec, Preset, Segment, Settings, Utterance, Voice, hookimpl

if TYPE_CHECKING:
    from voxcpm_openai.runtime.graphs import Capture
    from voxcpm_openai.runtime.model.voxcpm import VoxCPM

NAME = "voxcpm"
PACKAGES = ("torch", "safetensors", "tokenizers", "huggingface_hub")

SLOTS = {"cpu": 8, "cuda": 64}
"""Rows of a batch; a GPU has more where more streams may come, fewer where memory is short."""
LENGTH = 1024
"""Positions of a row: a voice's clip, the longest segment, and more speech than it can take."""
CAPTURE_SECONDS = 30.0
"""How long the start captures CUDA graphs; the others are captured when they are first used."""
MAX_WAITING = 512
"""Listeners who may wait for a row."""
MAX_WAIT = 30.0
"""Seconds; who would wait longer is told to come back."""


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Give the batched engine."""
    return [EngineSpec(NAME, start, available)]


@hookimpl
def register_presets() -> list[Preset]:
    """Give the model id that names this engine."""
    return [Preset(NAME, engine=NAME, options={"inference_steps": 10})]


def available(settings: Settings) -> str | None:
    """Return None, or what is missing: packages, weights, or for ``auto`` a GPU."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"the packages {', '.join(missing)} are missing; install them with "
            "pip install 'voxcpm-openai[voxcpm]'."
        )
    from voxcpm_openai.runtime import weights

    try:
        weights.find(settings.model)
    except weights.WeightsError as error:
        return str(error)
    # Looked for on disk: asking CUDA would mean importing torch, and waking the device.
    gpu = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    if settings.engine == "auto" and not gpu:
        return "no CUDA device is here; VOXCPM_ENGINE=voxcpm runs it on the CPU, slowly."
    return None


def start(settings: Settings) -> Engine:
    """Load the checkpoint, make the slots, and speak a word."""
    from voxcpm_openai.runtime.aside import aside

    return aside(lambda: _started(settings))


def _started(settings: Settings) -> Engine:
    import torch

    from voxcpm_openai.runtime import weights
    from voxcpm_openai.runtime.engine import BatchedEngine
    from voxcpm_openai.runtime.loader import load_model
    from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
    from voxcpm_openai.runtime.prompts import Prompts
    from voxcpm_openai.runtime.runner import ModelRunner

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device != "cpu" or _cpu_multiplies_bfloat16() else "float32"
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    folder = weights.find(settings.model)
    model = load_model(folder, device, dtype, settings.kernels)
    length = min(LENGTH, model.config.max_length)
    slots, capture = _batch(model, length, settings)
    runner = ModelRunner(
        model,
        Prompts(model, f"{folder.resolve()} {dtype}", settings.cache_folder / "prompts"),
        slots=slots,
        length=length,
        capture=capture,
    )
    if settings.cuda_graphs:
        runner.capture(CAPTURE_SECONDS)
    second = isinstance(model, VoxCPM2)
    engine = BatchedEngine(
        runner,
        rows_per_step=slots,
        max_waiting=MAX_WAITING,
        max_wait=MAX_WAIT,
        honours=frozenset({"seed", "cfg_value", "inference_steps"})
        | ({"instructions"} if second else set()),
        languages=() if second else ("zh", "en"),
        needs_transcript=not second,
        designs=second,
    )
    with closing(engine.speak(Utterance((Segment("Hi."),), Voice("", "")))) as stream:
        next(stream)
    return engine


def _batch(model: VoxCPM, length: int, settings: Settings) -> tuple[int, Capture | None]:
    """Return how many rows of so many positions there are, and how a GPU steps them."""
    from voxcpm_openai.runtime import graphs, memory

    slots = SLOTS[model.device.type]
    if model.device.type != "cuda":
        return slots, None
    slots = memory.slots_that_fit(model, length, max(slots, settings.max_streams))
    return slots, graphs.CudaCapture(model.device) if settings.cuda_graphs else graphs.eagerly


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them float32 is the faster."""
    try:
        cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(cpu.split()))
