"""Which operators a model runs on a CPU: those in C++ where they can be had, or PyTorch's."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from voxcpm_openai.runtime.device.vae_precision import round_vae_on_cpu
from voxcpm_openai.runtime.model.cpu import build
from voxcpm_openai.runtime.model.cpu.cpu_ops import CpuOps
from voxcpm_openai.runtime.model.ops import Ops, TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

logger = logging.getLogger(__name__)


def use_cpu_operators(model: VoxCPM, kernels: str, folder: Path, fastest: str) -> Ops:
    """Let a model that is on a CPU run on the operators of ``choose_ops``, and return them.

    Beside bfloat16 and int8 the VAE may round then, too, if bfloat16 is the ``fastest`` dtype here.
    """
    ops = choose_ops(kernels, folder)
    model.use(ops)
    rounds = model.int8 or model.dtype == torch.bfloat16
    if ops.fuses_vae and rounds and fastest == "bfloat16":
        round_vae_on_cpu(model, ops)
    return ops


def choose_ops(kernels: str, folder: Path) -> Ops:
    """Return the operators for a CPU, and log which they are.

    ``kernels``: ``torch`` for PyTorch's; else those in C++, which are compiled at their first use
    and kept in ``folder``, if this machine can.
    """
    if kernels == "torch":
        return TorchOps()
    try:
        ops = CpuOps(build.load(folder, isa()))
    except build.NotBuilt as error:
        logger.info(
            "steps run on PyTorch's operators, and take about %s times as long as on those in "
            "C++, which cannot be had: %s", build.GAIN, error,
        )  # fmt: skip
        return TorchOps()
    logger.info("steps run on operators in C++, for %s", isa())
    return ops


def isa() -> str:
    """Return the name that PyTorch has for what the processor can do."""
    return torch.backends.cpu.get_cpu_capability()
