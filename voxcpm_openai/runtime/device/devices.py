"""What PyTorch can do on which device; the only module that tells accelerators apart.

    cuda   NVIDIA's GPUs. AMD's as well, where PyTorch is built for ROCm (HIP)
    mps    Apple's
    xpu    Intel's
    cpu

All but the CPU run padded batches over fixed buffers.  CUDA graphs and Triton are for NVIDIA's
GPUs; on AMD's they are used only if they are asked for.  Only NVIDIA's were thought of when the
rest was written, and no other accelerator has run it yet.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from voxcpm_openai import gpus
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime import gpu
from voxcpm_openai.runtime.model.noise import Noise

AMD_BFLOAT16 = ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12")
"""How the names of AMD's architectures begin that multiply bfloat16: from CDNA and RDNA 3 on."""
NOISE_ERROR = 1e-3
"""The most that noise may differ from the CPU's: logarithm, sine and cosine are rounded."""

_ONE_THREAD = threading.RLock()


def choose(asked: str) -> str:
    """Return the device for a setting: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``.

    Raises StartError if it should be an accelerator, or one is here, and PyTorch cannot use it:
    speech on the CPU instead would be too slow, and nobody would be told.
    """
    usable, chosen = _usable(), asked
    if asked == "auto":
        here = gpu.accelerator() or ("cuda" if gpus.present() else "cpu")
        chosen = usable[0] if usable else here
    kind = chosen.partition(":")[0]
    if kind != "cpu" and kind not in usable:
        raise StartError(f"VOXCPM_DEVICE = {asked!r}: {_reason(kind)}")
    return chosen


def _usable() -> list[str]:
    """Return the accelerators that PyTorch can use, the one to prefer first."""
    found = {
        "cuda": torch.cuda.is_available(),
        "xpu": torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return [kind for kind, there in found.items() if there]


def _reason(kind: str) -> str:
    """Return why PyTorch cannot use an accelerator of this kind."""
    version, instead = torch.__version__, "VOXCPM_DEVICE=cpu runs on the CPU, slowly."
    if kind == "mps":
        return f"PyTorch {version} finds no GPU of Apple's that it can use (MPS). {instead}"
    if kind == "xpu":
        return f"PyTorch {version} finds no GPU of Intel's that it can use (XPU). {instead}"
    if torch.version.hip is not None:
        return (
            f"PyTorch {version} for ROCm {torch.version.hip} finds no GPU that it can use; the "
            f"user needs access to /dev/kfd and /dev/dri. {instead}"
        )
    return gpu.mismatch() or (
        f"PyTorch {version} for CUDA {torch.version.cuda} finds no GPU that it can use; the driver "
        f"takes CUDA {gpu.driver_cuda() or 'of an unknown version'}. {instead}"
    )


def is_nvidia(device: torch.device) -> bool:
    """Return whether it is a GPU of NVIDIA's: where CUDA graphs, Triton and TF32 are at home."""
    return device.type == "cuda" and torch.version.hip is None


def pads_batches(device: torch.device) -> bool:
    """Return whether steps run as stages over fixed buffers: it launches or compiles operators."""
    return device.type != "cpu"


def is_asynchronous(device: torch.device) -> bool:
    """Return whether copies run behind the host's back: with ``torch.cuda``'s streams and events.

    They need pinned memory.  Elsewhere a copy is waited for: on MPS one that is not may read memory
    that is free already.
    """
    return device.type == "cuda"


def exclusive(device: torch.device) -> AbstractContextManager[object]:
    """Return a block in which no other thread may use the device, where that would be a fault.

    On MPS two threads at once end the process.  Every use of the device after the start is inside.
    """
    return _ONE_THREAD if device.type == "mps" else nullcontext()


def best_dtype(name: str) -> str:
    """Return the dtype for ``VOXCPM_DTYPE=auto``: bfloat16 where the accelerator multiplies it.

    That of a CPU is measured: ``cpu_dtype``.
    """
    device = torch.device(name)
    fast = {"cuda": _cuda_bfloat16, "xpu": _xpu_bfloat16}
    # On MPS upstream's package found its output glitched in 16 bits.
    return "bfloat16" if device.type in fast and fast[device.type](device) else "float32"


def _cuda_bfloat16(device: torch.device) -> bool:
    """Return whether the GPU has bfloat16 products: NVIDIA's from compute capability 8.0 on."""
    if is_nvidia(device):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    name: str = torch.cuda.get_device_properties(device).gcnArchName
    return name.startswith(AMD_BFLOAT16)


def _xpu_bfloat16(device: torch.device) -> bool:
    """Return whether the GPU has bfloat16 products, and not only conversions."""
    properties = torch.xpu.get_device_properties(device)
    return bool(getattr(properties, "has_subgroup_matrix_multiply_accumulate", False))


def name_of(device: torch.device) -> str:
    """Return the name of an accelerator."""
    if device.type == "mps":
        return "Apple's GPU"
    return str(_module(device).get_device_name(device))


def count(device: torch.device) -> int:
    """Return how many accelerators of this kind there are."""
    return 1 if device.type == "mps" else _module(device).device_count()


def free_bytes(device: torch.device) -> int:
    """Return the free memory of an accelerator; MPS and XPU do not know what others use."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if device.type == "xpu":  # `mem_get_info` is an error on many devices
        total = torch.xpu.get_device_properties(device).total_memory
        return int(total - torch.xpu.memory_reserved(device))
    free, _ = torch.cuda.mem_get_info(device)
    return free


def used_bytes(device: torch.device) -> int:
    """Return the memory that tensors take on an accelerator."""
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return int(_module(device).memory_allocated(device))


def _module(device: torch.device) -> Any:
    """Return PyTorch's module for this kind of device; ``torch.mps`` has less than the others."""
    return getattr(torch, device.type)


def check_noise(device: torch.device) -> None:
    """Raise StartError if the device draws other noise than the CPU.

    It takes 64-bit products that wrap around, and shifts, which few programs need: PyTorch's tests
    hold them for a CPU and CUDA.
    """
    if device.type in ("cpu", "cuda"):
        return
    seeds, patches = torch.tensor([1, 2**62 + 2**40 + 3]), torch.tensor([0, 70_000])  # [B] each
    expected = Noise(torch.device("cpu"))(seeds, patches, 8, 4)  # [B, C, P]
    drawn = Noise(device)(seeds.to(device), patches.to(device), 8, 4).cpu()  # [B, C, P]
    error = (drawn - expected).abs().max().item()
    if not error < NOISE_ERROR:
        raise StartError(
            f"{device} draws wrong noise (off by {error:.2g}): its integers of 64 bits are not "
            "what PyTorch says. VOXCPM_DEVICE=cpu runs on the CPU, slowly."
        )
