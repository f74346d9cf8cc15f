"""``voxcpm-openai check --model``: what a VoxCPM model takes on a GPU, and how many slots fit."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from voxcpm_openai.settings import load_settings

if TYPE_CHECKING:
    from voxcpm_openai.runtime.device.memory import ModelMemory
    from voxcpm_openai.runtime.model.config import ModelConfig

PACKAGES = ("torch", "safetensors", "tokenizers", "huggingface_hub")
CARDS = (8, 16, 24, 48, 80)
"""Sizes of cards in GB.  Of 10**9 bytes, which is about what is usable of a card of so many GiB."""
GB, MIB, GIB = 10**9, 2**20, 2**30


def print_memory(model: str) -> None:
    """Print the prediction for a model's name, hub id or folder; empty: ``VOXCPM_MODEL``.

    Raises ClickException where packages or the model are missing, CheckpointError for its files.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise click.ClickException(
            f"the memory of a model is computed with the packages {', '.join(missing)}, which are "
            "missing; pip install 'voxcpm-openai[voxcpm]'."
        )
    from voxcpm_openai.runtime.device import memory
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    settings = load_settings()
    own = settings.of(VoxcpmSettings)
    name, config = _configuration(model or own.model)
    dtype = memory.gpu_dtype(own.dtype)
    length = memory.slot_length(config)
    predicted = memory.model_memory(config, dtype, length)
    shown_dtype = str(dtype).removeprefix("torch.")
    click.echo(f"{name} in {shown_dtype}, slots of {length} positions (computed, not measured)")
    for what, size, note in parts(predicted):
        click.echo(f"  {what:24} {size / MIB:8,.1f} MiB  {note}".rstrip())
    most = max(memory.GPU_SLOTS, settings.max_streams)
    click.echo(f"  {'card':30} slots that fit   memory in use with at most {most} slots")
    for size in CARDS:
        free = size * GB - memory.CONTEXT_BYTES
        click.echo(f"  {f'{size} GB':30} {_row(predicted, free, most)}")
    if gpu := memory.this_gpu(own.device):
        name, free = gpu
        click.echo(f"  {f'{name}, as it is now':30} {_row(predicted, free, most)}")


def parts(predicted: ModelMemory) -> Iterator[tuple[str, int, str]]:
    """Yield what takes memory: its name, bytes, and what it consists of."""
    from voxcpm_openai.runtime.device import memory
    from voxcpm_openai.runtime.device.voice_cache import MAX_ENTRIES

    kv, vae = predicted.slot_kv / MIB, predicted.slot_vae / MIB
    other = memory.RESERVED_BYTES - memory.GRAPH_BYTES - predicted.voices
    yield "weights", predicted.weights, ""
    yield "each slot", predicted.slot, f"keys and values {kv:.1f}, the VAE's state {vae:.1f}"
    yield "  and during a step", memory.STEP_BYTES, "activations, most of them in the VAE"
    yield "padding slot, inputs", predicted.base, ""
    yield "CUDA graphs", memory.GRAPH_BYTES, "an estimate"
    yield (
        f"{MAX_ENTRIES} voices",
        predicted.voices,
        f"prompts, of clips of {memory.CLIP_SECONDS} s",
    )
    yield "prefill, encoding, rest", other, "what else is kept free of slots"
    yield "CUDA and torch", memory.CONTEXT_BYTES, "an estimate"


def _row(predicted: ModelMemory, free: int, most: int) -> str:
    """Return the end of a card's line; ``free``: its bytes beside what CUDA and torch take."""
    fit = predicted.slots(free - predicted.weights)
    needed = (predicted.weights + predicted.needed(min(fit, most) or 1)) / GIB
    if not fit:
        return f"{'none':>14}   {needed:.1f} GiB for one slot; there are {free / GIB:.1f}"
    return f"{fit:14,}   {needed:.1f} of {free / GIB:.1f} GiB"


def _configuration(model: str) -> tuple[str, ModelConfig]:
    """Return a model's name and configuration: of its folder, or as it was published."""
    from pathlib import Path

    from voxcpm_openai.runtime.errors import HubError
    from voxcpm_openai.runtime.loading import hub, published
    from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
    from voxcpm_openai.runtime.model.config import parse

    folder = Path(model).expanduser()
    if not folder.is_dir():
        if known := published.find(model):
            return known.name, parse(dict(known.config))
        try:
            folder = hub.find(model)
        except HubError as error:
            names = ", ".join(known.name for known in published.MODELS)
            raise click.ClickException(
                f"{model!r} is no folder, no checkpoint that was pulled, and none of {names}."
            ) from error
    return model, parse(Checkpoint(folder).config())
