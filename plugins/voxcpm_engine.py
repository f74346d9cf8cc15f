"""The voxcpm engine: VoxCPM 0.5B, 1.5 and 2, batched, on a GPU or a CPU."""

from __future__ import annotations

import importlib.util
import os
from contextlib import closing
from typing import TYPE_CHECKING

from voxcpm_openai import Engine, EngineSpec, Preset, Segment, Settings, Utterance, Voice, hookimpl

if TYPE_CHECKING:
    from voxcpm_openai.runtime.device.cuda_graphs import Capture
    from voxcpm_openai.runtime.model.voxcpm import VoxCPM

NAME = "voxcpm"
PACKAGES = ("torch", "safetensors", "tokenizers", "huggingface_hub")

CPU_SLOTS = 8
"""Slots on a CPU; those of a GPU depend on its memory."""
CAPTURE_SECONDS = 30.0
"""How long CUDA graphs are captured at the start; others are captured at first use."""
MAX_WAITING = 512
"""The most listeners that wait for a slot."""
MAX_WAIT = 30.0
"""Seconds; a request that would wait longer is refused as overloaded."""


@hookimpl
def register_engines() -> list[EngineSpec]:
    """Offer the batched engine."""
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    return [
        EngineSpec(
            NAME,
            start,
            unavailable_reason,
            priority=100,
            settings=VoxcpmSettings,
            device=lambda settings: settings.of(VoxcpmSettings).device,
            install_hint=(
                "clones voices in English and Chinese; VoxCPM2, VOXCPM_MODEL=openbmb/VoxCPM2, in "
                "many languages, also from a description, with `instructions`, at 48 kHz and from "
                "clips without a transcript, for about twice the work: pip install "
                "'voxcpm-openai[voxcpm]', voxcpm-openai pull, VOXCPM_ENGINE=voxcpm"
            ),
        )
    ]


@hookimpl
def register_presets() -> list[Preset]:
    """Offer the model id that names this engine."""
    return [Preset(NAME, engine=NAME, options={"inference_steps": 10})]


def unavailable_reason(settings: Settings) -> str | None:
    """Return what is missing (packages, weights, for ``auto`` a GPU) or does not fit, or None."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"the packages {', '.join(missing)} are missing; install them with "
            "pip install 'voxcpm-openai[voxcpm]'."
        )
    from voxcpm_openai.runtime import gpu
    from voxcpm_openai.runtime.errors import HubError
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    own = settings.of(VoxcpmSettings)
    try:
        hub.find(own.model)
    except HubError as error:
        return str(error)
    if own.device.startswith(("auto", "cuda")) and (reason := gpu.mismatch()):
        return reason
    if settings.engine == "auto" and gpu.accelerator() is None:
        return "no GPU is here; VOXCPM_ENGINE=voxcpm runs it on the CPU, slowly."
    return None


def start(settings: Settings) -> Engine:
    """Load the checkpoint, allocate the slots, and synthesize a word."""
    from voxcpm_openai.runtime.threads import run_in_fresh_thread

    return run_in_fresh_thread(lambda: _started(settings))


def _started(settings: Settings) -> Engine:
    import torch

    from voxcpm_openai.runtime.device import devices, memory
    from voxcpm_openai.runtime.device.loader import load_model
    from voxcpm_openai.runtime.device.runner import ModelRunner
    from voxcpm_openai.runtime.device.voice_cache import VoiceCache
    from voxcpm_openai.runtime.engine.engine import BatchedEngine
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    own = settings.of(VoxcpmSettings)
    device = devices.choose(own.device.partition(":")[0])  # see `EngineSpec.device`
    dtype = devices.best_dtype(device) if own.dtype == "auto" else own.dtype
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    folder = hub.find(own.model)
    model = load_model(folder, device, dtype, own.kernels)
    length = memory.slot_length(model.config)
    slots, capture = _batch(model, length, settings.max_streams, own.cuda_graphs)
    runner = ModelRunner(
        model,
        VoiceCache(model, f"{folder.resolve()} {dtype}", settings.cache_folder / "prompts"),
        slots=slots,
        length=length,
        capture=capture,
    )
    # Without graphs, kernels are compiled.
    runner.capture(CAPTURE_SECONDS if own.cuda_graphs else 0.0)
    second = isinstance(model, VoxCPM2)
    engine = BatchedEngine(
        runner,
        rows_per_step=slots,
        max_waiting=MAX_WAITING,
        max_wait=MAX_WAIT,
        params=frozenset({"seed", "cfg_value", "inference_steps"})
        | ({"instructions"} if second else set()),
        languages=() if second else ("zh", "en"),
        needs_transcript=not second,
        voice_design=second,
    )
    with closing(engine.synthesize(Utterance((Segment("Hi."),), Voice("", "")))) as stream:
        next(stream)
    return engine


def _batch(
    model: VoxCPM, length: int, max_streams: int, cuda_graphs: bool
) -> tuple[int, Capture | None]:
    """Return the number of slots of ``length`` positions, and how a GPU runs their steps."""
    from voxcpm_openai.runtime.device import devices, memory
    from voxcpm_openai.runtime.device.cuda_graphs import CudaCapture, enforce_eager

    if not devices.pads_batches(model.device):
        return CPU_SLOTS, None
    slots = memory.slots_that_fit(model, length, max(memory.GPU_SLOTS, max_streams))
    captures = cuda_graphs and model.device.type == "cuda"
    return slots, CudaCapture(model.device) if captures else enforce_eager
