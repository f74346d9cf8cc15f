"""The settings of the two VoxCPM engines.  No torch."""

from __future__ import annotations

from typing import Literal

from voxcpm_openai.setting_types import plugin_settings, setting


@plugin_settings("")  # their names are older than the rule that a plugin's settings bear its name
class VoxcpmSettings:
    """Which checkpoint runs, where, and in which numbers."""

    model: str = setting(
        "openbmb/VoxCPM1.5",
        "The voxcpm engine's checkpoint: a folder, or a hub id that `voxcpm-openai pull` fetched.",
    )
    dtype: str = setting(
        "auto",
        "The voxcpm engine's dtype: `float32`, `bfloat16`, or on a CPU `int8`. `auto`: bfloat16 "
        "on a GPU (Ampere or newer), and on a CPU where its products are measured to be faster, "
        "else float32.",
        choices=("auto", "float32", "bfloat16", "int8"),
    )
    device: str = setting(
        "auto",
        "The voxcpm engine's device: `auto`, `cpu`, `cuda`, `cuda:1`, or, untried, `mps` or `xpu`.",
        pattern=r"auto|cpu|cuda(:\d+)?|mps|xpu",
    )
    cuda_graphs: Literal["auto", "on", "off"] = setting(
        "auto",
        "On NVIDIA's GPUs, replay each step of the voxcpm engine as CUDA graphs (`on`), or launch "
        "its operators one by one (`off`). `auto`: what a trial at the start shows to be right and "
        "faster.",
    )
    kernels: str = setting(
        "auto",
        "On NVIDIA's GPUs, the operators between the voxcpm engine's matrix products: PyTorch's "
        "(`torch`), or fused `triton` kernels. `auto`: what a trial at the start shows to be right "
        "and faster. On a CPU, `auto` compiles fused operators in C++ at the first start, where "
        "the machine has a compiler.",
        choices=("auto", "torch", "triton"),
    )
