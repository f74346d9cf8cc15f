"""The voxcpm engine: VoxCPM 0.5B, 1.5 and 2, batched, on a GPU or a CPU."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import closing

from voxcpm_openai import (
    Engine,
    EngineSpec,
    Preset,
    Segment,
    Settings,
    Utterance,
    Voice,
    available_cores,
    hookimpl,
)

NAME = "voxcpm"
TRIALS = "trials"
"""The folder, in the cache, of what is known of the ways to run a step on this machine's GPU."""
OPERATORS = "operators"
"""The folder, in the cache, of the compiled operators for a CPU."""
DTYPES = "dtypes"
"""The folder, in the cache, of the times of products on this CPU."""
QUANTIZED = "quantized"
"""The folder, in the cache, of weights in 8 bits."""
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
            notes=notes,
            free=free,
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
    if reason := gpu.mismatch(own.device):
        return reason
    if settings.engine == "auto" and gpu.accelerator() is None:
        return "no GPU is here; VOXCPM_ENGINE=voxcpm runs it on the CPU, slowly."
    return None


def notes(settings: Settings) -> Iterator[str]:
    """Yield how the steps run: a CPU's threads and operators, what earlier starts found on GPUs."""
    from voxcpm_openai.runtime import gpu
    from voxcpm_openai.runtime.errors import HubError
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.settings import VoxcpmSettings
    from voxcpm_openai.runtime.trial.trial_record import described

    own = settings.of(VoxcpmSettings)
    if own.device == "cpu" or (own.device == "auto" and gpu.accelerator() is None):
        yield from cpu_notes(settings)
    try:
        config = json.loads((hub.find(own.model) / "config.json").read_text(encoding="utf-8"))
    except (HubError, OSError, ValueError):  # the start says what is missing
        return
    known = list(described(settings.cache_folder / TRIALS, config))
    yield from known
    tries = own.device != "cpu" and "auto" in (own.kernels, own.cuda_graphs)
    if tries and not known and gpu.accelerator() == "cuda":
        yield "the first start on this GPU tries how the steps run best"


def cpu_notes(settings: Settings) -> Iterator[str]:
    """Yield how the steps run on a CPU, and what they lack."""
    from voxcpm_openai.runtime import dtype_times
    from voxcpm_openai.runtime.model.cpu import build
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    threads = settings.threads or available_cores()
    yield f"threads on the CPU: {threads}, fewer while other programs need the cores"
    if times := dtype_times.kept(settings.cache_folder / DTYPES, threads):
        shown = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
        yield f"products of a step: {shown}; VOXCPM_DTYPE=auto is {dtype_times.choice(times)}"
    missing = build.missing(settings.cache_folder / OPERATORS)
    if missing and settings.of(VoxcpmSettings).kernels == "auto":
        yield f"on the CPU a step could be {build.GAIN} times faster with {missing}"


def start(settings: Settings) -> Engine:
    """Load the checkpoint, allocate the slots, and synthesize a word."""
    from voxcpm_openai.runtime.threads import run_in_fresh_thread

    return run_in_fresh_thread(lambda: _started(settings))


def free() -> None:
    """Give back the GPU memory that PyTorch keeps for reuse."""
    import torch

    torch.cuda.empty_cache()  # nothing if CUDA was not used


def _started(settings: Settings) -> Engine:
    import torch

    from voxcpm_openai.runtime.device import cpu_dtype, devices, memory
    from voxcpm_openai.runtime.device.cpu_operators import use_cpu_operators
    from voxcpm_openai.runtime.device.loader import load_model
    from voxcpm_openai.runtime.device.runner import ModelRunner
    from voxcpm_openai.runtime.device.voice_cache import VoiceCache, latents_name
    from voxcpm_openai.runtime.engine.engine import BatchedEngine
    from voxcpm_openai.runtime.engine.thread_count import ThreadCount
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
    from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2
    from voxcpm_openai.runtime.settings import VoxcpmSettings
    from voxcpm_openai.runtime.trial.path_selection import PathSelection

    own = settings.of(VoxcpmSettings)
    device = devices.choose(own.device.partition(":")[0])  # see `EngineSpec.device`
    most_threads = settings.threads or available_cores()
    torch.set_num_threads(most_threads)
    if device != "cpu":
        fastest = devices.best_dtype(device)
    elif own.dtype == "float32":
        fastest = own.dtype  # nothing is rounded, so nothing is measured
    else:
        fastest = cpu_dtype.fastest(settings.cache_folder / DTYPES, most_threads)
    dtype = fastest if own.dtype == "auto" else own.dtype
    folder = hub.find(own.model)
    selection = PathSelection(
        torch.device(device), dtype, Checkpoint(folder).config(), settings.cache_folder / TRIALS
    )
    selection.try_apart(own.kernels, own.cuda_graphs)
    model = load_model(folder, device, dtype, cache=settings.cache_folder / QUANTIZED)
    path = selection.select(model)
    if device == "cpu":
        use_cpu_operators(model, own.kernels, settings.cache_folder / OPERATORS, fastest)
    length, slots = memory.slot_length(model.config), CPU_SLOTS
    if padded := devices.pads_batches(model.device):
        slots = memory.slots_that_fit(model, length, max(memory.GPU_SLOTS, settings.max_streams))
    runner = ModelRunner(
        model,
        VoiceCache(
            model, latents_name(folder, model.device, dtype), settings.cache_folder / "prompts"
        ),
        slots=slots,
        length=length,
        capture=selection.capture() if padded else None,
        path=path if padded else None,
        report=selection.refuse,
        threads=None if padded else ThreadCount(most_threads, torch.set_num_threads),
    )
    # Without graphs, kernels are compiled.
    runner.capture(CAPTURE_SECONDS if path.path.graphs else 0.0)
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
        summary=f"{own.model} in {dtype}{f', {path}' if padded else ''}",
    )
    files = sorted((path.name, path.stat()) for path in folder.iterdir() if path.is_file())
    sizes = ",".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in files)
    engine.version = f"{folder.resolve()} {dtype} {sizes}"
    with closing(engine.synthesize(Utterance((Segment("Hi."),), Voice("", "")))) as stream:
        next(stream)
    return engine
