"""Loads a checkpoint's folder as a model on a device."""

from __future__ import annotations

import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import torch

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.vae_precision import round_vae
from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
from voxcpm_openai.runtime.loading.tokenizer import TextTokenizer
from voxcpm_openai.runtime.model import config
from voxcpm_openai.runtime.model.ops import Ops, TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.model.voxcpm2 import VoxCPM2

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
ARCHITECTURES = {"voxcpm": VoxCPM, "voxcpm2": VoxCPM2}


def load_model(
    folder: Path, device: str, dtype: str, kernels: str = "torch", cache: Path | None = None
) -> VoxCPM:
    """Load the checkpoint in ``folder``.

    ``device``: as ``devices.choose`` returns it.  ``dtype``: one of ``DTYPES``; the VAE is always
    float32, on NVIDIA's GPUs beside bfloat16 with products in TF32.  ``int8``, on a CPU only: the
    transformers multiply in 8 bits, all else is float32.  ``kernels``: ``torch``, or on a GPU
    ``triton``; ``VoxCPM.use`` exchanges them later.  ``cache``: a folder for weights in 8 bits, so
    that they are quantized once.  Raises CheckpointError for what is missing or
    wrong in the checkpoint, StartError for what the device cannot do.
    """
    checkpoint = Checkpoint(folder)
    parsed = config.parse(checkpoint.config())
    tokenizer = TextTokenizer(checkpoint.tokenizer())
    target = torch.device(device)
    prepare_device(target)
    ops = make_ops(kernels, target)
    weights = checkpoint.model(target, DTYPES[dtype], int8=dtype == "int8", cache=cache)
    # Rounding to 10 bits is far below that of a model in bfloat16.
    vae = checkpoint.vae(target, tf32=devices.is_nvidia(target) and dtype == "bfloat16")
    model = ARCHITECTURES[parsed.architecture](parsed, weights, vae, tokenizer, ops)
    if vae.tf32:
        round_vae(model)
    return model


def prepare_device(device: torch.device) -> None:
    """Set what a model on a device needs, before it is loaded.

    Raises StartError if the device makes wrong noise.
    """
    devices.check_noise(device)
    if device.type == "cuda":
        # cuDNN's attention, which PyTorch prefers from 2.11 on, plans each shape for half a second.
        torch.backends.cuda.enable_cudnn_sdp(False)


def make_ops(kernels: str, device: torch.device) -> Ops:
    """Return the operators of a name: ``torch``, or on a GPU ``triton``.  Raises StartError."""
    return _triton_ops(device) if kernels == "triton" else TorchOps()


def _missing_to_compile() -> str | None:
    """Return what Triton would miss to compile its launchers, looked for where it looks."""
    own = os.environ.get("CC")
    names = ("gcc", "clang") if own is None else (own,)
    if not any(shutil.which(name) for name in names):
        return f"a C compiler: there is no {' and no '.join(names)}"
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    header = Path(sysconfig.get_path("include", scheme)) / "Python.h"
    return None if header.is_file() else f"{header}"


def _triton_ops(device: torch.device) -> Ops:
    """Import Triton, which is large and useless without a GPU, and return its operators."""
    if device.type != "cuda":
        raise StartError(
            f"VOXCPM_KERNELS=triton needs a CUDA device; the model is to run on {device}. "
            "Leave it at torch."
        )
    if find_spec("triton") is None:
        raise StartError(
            "VOXCPM_KERNELS=triton needs the package triton, which PyTorch's CUDA builds bring; "
            "it is not installed. Leave it at torch."
        )
    if missing := _missing_to_compile():
        raise StartError(
            f"VOXCPM_KERNELS=triton compiles C at the first start, which needs {missing}. Install "
            "it (Debian, Ubuntu: gcc, libc6-dev and python3-dev), or leave VOXCPM_KERNELS at torch."
        )
    from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps

    return TritonOps()
