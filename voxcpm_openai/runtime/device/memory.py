"""The memory of a GPU: what a model takes, and how many slots fit beside it.

All sizes are computed from a configuration, on the ``meta`` device: by the runtime when it starts,
and for any card beforehand (``voxcpm-openai check --model``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.device.stages import Stages
from voxcpm_openai.runtime.device.voice_cache import MAX_ENTRIES
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.state import KVPrefix, Slots, SpeakerPrompt
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

logger = logging.getLogger(__name__)

MIB, GIB = 2**20, 2**30

LENGTH = 1024
"""Positions of a slot: enough for a voice's clip, the longest segment and its speech."""
GPU_SLOTS = 64
"""Slots of a GPU, if they fit; it gets more for a larger ``max_streams``."""
RESERVED_BYTES = 3 * GIB
"""Memory kept free of slots: for graphs, voices, prompts that are prefilled, clips that are
encoded, and what the allocator loses by rounding."""
GRAPH_BYTES = 2 * GIB
"""The part of it that CUDA graphs may take.  An estimate: no GPU has shown it yet."""
STEP_BYTES = 10 * MIB
"""Memory of a row during a step, most of it in the VAE's decoder, which runs beside the next."""
CONTEXT_BYTES = 640 * MIB
"""Memory of CUDA itself, its libraries and torch's kernels.  An estimate, for cards that are not
here; of one that is here, the free memory is asked for."""
CLIP_SECONDS = 10
"""The length of the clips that ``voices`` are counted with."""


@dataclass(frozen=True)
class ModelMemory:
    """What a model and its slots take on a GPU, in bytes."""

    weights: int  # with those that the VAE's decoder has in float16, if it may
    base: int  # buffers of the runner that do not depend on the number of slots
    slot: int  # of these: keys and values, the VAE's state, and the rest
    slot_kv: int
    slot_vae: int
    voices: int  # the prompts of as many voices as are kept, of clips of CLIP_SECONDS

    def slots(self, free: int) -> int:
        """Return how many slots fit into ``free`` bytes beside the weights; 0 if none does."""
        left = free - RESERVED_BYTES - self.base
        return max(0, left // (self.slot + STEP_BYTES))

    def needed(self, slots: int) -> int:
        """Return the bytes beside the weights that ``slots`` slots need, the reserve included."""
        return RESERVED_BYTES + self.base + slots * (self.slot + STEP_BYTES)

    def slots_of_card(self, size: int) -> int:
        """Return how many slots fit on a card of ``size`` bytes that runs nothing else."""
        return self.slots(size - CONTEXT_BYTES - self.weights)


def slot_length(config: ModelConfig) -> int:
    """Return the positions of the engine's slots."""
    return min(LENGTH, config.max_length)


def gpu_dtype(name: str) -> torch.dtype:
    """Return the dtype on a GPU for ``VOXCPM_DTYPE``."""
    return torch.float32 if name == "float32" else torch.bfloat16


def this_gpu(device: str) -> tuple[str, int] | None:
    """Return the name and the free bytes of this machine's GPU; None if there is none.

    ``device``: ``VOXCPM_DEVICE``; with ``auto`` or ``cpu`` it is the first GPU.
    """
    try:
        chosen = torch.device(devices.choose("auto" if device == "cpu" else device))
    except StartError:
        return None
    if chosen.type == "cpu" or (chosen.index or 0) >= devices.count(chosen):
        return None
    return devices.name_of(chosen), devices.free_bytes(chosen)


def model_memory(config: ModelConfig, dtype: torch.dtype, length: int) -> ModelMemory:
    """Return what a model in ``dtype`` takes, with slots of ``length`` positions.

    Takes half a second, and no memory.
    """
    model = outline(config, dtype).model
    if dtype == torch.bfloat16:  # and if the weights are as they should be
        model.decoder.fused = model.decoder.in_float16()
    one, two = (_runner_bytes(model, count, length) for count in (1, 2))
    state = model.new_slots(1, length)
    clip = torch.zeros(CLIP_SECONDS * model.encoder_rate, device="meta")  # [N]
    latents = model.encode(clip)  # [T, P, C]
    voice: KVPrefix | SpeakerPrompt = model.prompt(latents)
    if isinstance(model, VoxCPM2):
        voice = model.prefix(latents)
    return ModelMemory(
        weights=tensor_bytes(model),
        base=2 * one - two,
        slot=two - one,
        slot_kv=tensor_bytes(state.base, state.residual),
        slot_vae=tensor_bytes(state.conv_state),
        voices=MAX_ENTRIES * tensor_bytes(voice),
    )


def slots_that_fit(model: VoxCPM, length: int, most: int) -> int:
    """Return how many slots fit into the free memory of the model's GPU, at most ``most``.

    The padding slot is not counted.  Raises StartError if there is no memory for one slot.
    """
    free = devices.free_bytes(model.device)
    memory = model_memory(model.config, model.dtype, length)
    fit = memory.slots(free)
    if fit < 1:
        raise StartError(
            f"{free / GIB:.1f} GiB are free on {model.device} beside the model; speech needs "
            f"{memory.needed(1) / GIB:.1f} GiB. Free some, or set VOXCPM_MODEL to a smaller model."
        )
    slots = min(fit, most)
    logger.info(
        "%d slots of %d positions: %.1f GiB of the %.1f GiB that are free on %s",
        slots, length, slots * memory.slot / GIB, free / GIB, model.device,
    )  # fmt: skip
    return slots


def tensor_bytes(*holders: object) -> int:
    """Return the bytes of all tensors on the ``meta`` device that these objects hold.

    Memory that several tensors share counts once, and as a whole if only a part of it is held.
    """
    storages = {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
        for tensor in _tensors(holders, set())
        if tensor.device.type == "meta"
    }
    return sum(storages.values())


def _tensors(holder: object, visited: set[int]) -> Iterator[Tensor]:
    """Yield the tensors in a structure of containers and of this package's objects."""
    if id(holder) in visited:
        return
    visited.add(id(holder))
    parts: Iterable[object] = ()
    if isinstance(holder, Tensor):
        yield holder
    elif isinstance(holder, list | tuple):
        parts = holder
    elif isinstance(holder, Mapping):
        parts = holder.values()
    elif type(holder).__module__.startswith("voxcpm_openai."):
        parts = getattr(holder, "__dict__", {}).values()
    for part in parts:
        yield from _tensors(part, visited)


def _runner_bytes(model: VoxCPM, count: int, length: int) -> int:
    """Return the bytes of a runner's buffers for ``count`` slots, beside the model's weights."""
    slots = Slots(  # and the padding slot
        model.config, model.decoder.conv_shapes, count + 1, length, model.device, model.dtype
    )
    return tensor_bytes(model, slots, Stages(model, slots)) - tensor_bytes(model)
