"""``voxcpm-openai check --model``: what a VoxCPM model takes on a GPU, and how many slots fit."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from voxcpm_openai.cli.display import (
    Column,
    is_terminal,
    plain,
    print_json,
    print_table,
    print_title,
)
from voxcpm_openai.settings import load_settings

if TYPE_CHECKING:
    from voxcpm_openai.runtime.device.memory import ModelMemory
    from voxcpm_openai.runtime.model.config import ModelConfig

PACKAGES = ("torch", "safetensors", "tokenizers", "huggingface_hub")
CARDS = (8, 16, 24, 48, 80)
"""Sizes of cards in GB.  Of 10**9 bytes, which is about what is usable of a card of so many GiB."""
GB, MIB, GIB = 10**9, 2**20, 2**30


def print_memory(model: str, *, as_json: bool = False) -> None:
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
    most = max(memory.GPU_SLOTS, settings.max_streams)
    cards = {f"{size} GB": size * GB - memory.CONTEXT_BYTES for size in CARDS}
    if gpu := memory.this_gpu(own.device):
        cards[f"{gpu[0]}, as it is now"] = gpu[1]
    if as_json:
        document = {"model": name, "dtype": shown_dtype, "slot_positions": length}
        print_json({**document, **_as_json(predicted, cards, most)})
        return
    click.echo(
        plain(f"{name} in {shown_dtype}, slots of {length} positions (computed, not measured)")
    )
    if is_terminal(sys.stdout):
        _print_tables(predicted, cards, most)
    else:
        _print_lines(predicted, cards, most)


def _print_lines(predicted: ModelMemory, cards: Mapping[str, int], most: int) -> None:
    for what, size, note in parts(predicted):
        click.echo(f"  {what:24} {size / MIB:8,.1f} MiB  {note}".rstrip())
    click.echo(f"  {'card':30} slots that fit   memory in use with at most {most} slots")
    for card, free in cards.items():
        fit, needed = _fit(predicted, free, most)
        slots = f"{fit:14,}" if fit else f"{'none':>14}"
        click.echo(plain(f"  {card:30} {slots}   {_in_use(fit, needed, free)}"))


def _print_tables(predicted: ModelMemory, cards: Mapping[str, int], most: int) -> None:
    columns = (Column("part"), Column("MiB", right=True), Column("of", "dim", wrap=True))
    print_table(
        columns, [(what, f"{size / MIB:,.1f}", note) for what, size, note in parts(predicted)]
    )
    print_title("Slots that fit")
    used = Column(f"memory in use with at most {most} slots", wrap=True)
    rows = []
    for card, free in cards.items():
        fit, needed = _fit(predicted, free, most)
        rows.append((card, f"{fit:,}" if fit else "none", _in_use(fit, needed, free)))
    print_table((Column("card", wrap=True), Column("slots", "bold", right=True), used), rows)


def _as_json(predicted: ModelMemory, cards: Mapping[str, int], most: int) -> dict[str, object]:
    rows = []
    for card, free in cards.items():
        fit, needed = _fit(predicted, free, most)
        rows.append({"name": card, "free_bytes": free, "slots": fit, "used_bytes": needed})
    made_of = [
        {"name": what.strip(), "bytes": size, "note": note} for what, size, note in parts(predicted)
    ]
    return {"parts": made_of, "most_slots": most, "cards": rows}


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


def _fit(predicted: ModelMemory, free: int, most: int) -> tuple[int, int]:
    """Return the slots that fit, and the bytes in use with them, at most ``most``, at least one.

    ``free``: the card's bytes beside what CUDA and torch take.
    """
    fit = predicted.slots(free - predicted.weights)
    return fit, predicted.weights + predicted.needed(min(fit, most) or 1)


def _in_use(fit: int, needed: int, free: int) -> str:
    if not fit:
        return f"{needed / GIB:.1f} GiB for one slot; there are {free / GIB:.1f}"
    return f"{needed / GIB:.1f} of {free / GIB:.1f} GiB"


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
