"""Tries the execution paths on a small model, in a process of its own.

    python -m voxcpm_openai.runtime.trial.trial_process < request.json

A kernel that hangs, or reads what is not its own, takes its process with it.  So the paths are
tried here first: two layers of the model's true widths with random weights.  Each path is a line on
the standard output, ``{"path": ["triton", true], "reason": null}``, once it is known.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch

from voxcpm_openai.runtime.device.capture import Capture, CudaCapture, enforce_eager
from voxcpm_openai.runtime.device.execution_path import SAFE, ExecutionPath, Verdict
from voxcpm_openai.runtime.device.loader import ARCHITECTURES, make_ops, prepare_device
from voxcpm_openai.runtime.loading.random_weights import RandomWeights
from voxcpm_openai.runtime.model import config
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.ops import Ops, TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM, no_tokenizer
from voxcpm_openai.runtime.trial.operator_check import ComparedOps
from voxcpm_openai.runtime.trial.path_trial import MakeOps, PathRefused, PathTrial
from voxcpm_openai.runtime.trial.speech_check import INPUTS, ROWS

LAYERS = 2
"""Layers of each transformer."""


def verdicts(
    model: VoxCPM,
    paths: Sequence[ExecutionPath],
    ops: MakeOps,
    make_capture: Callable[[], Capture],
) -> Iterator[Verdict]:
    """Yield each path's verdict.  Operators that are not PyTorch's are compared one by one, too."""

    right = {SAFE.kernels}

    def compared(kernels: str) -> Ops:
        if kernels not in right:
            compare_operators(model, ops(kernels))
            right.add(kernels)
        return ops(kernels)

    trial = PathTrial(model, compared, make_capture)
    for path in paths:
        try:
            trial.check(path)
        except PathRefused as error:
            yield path, str(error)
        else:
            yield path, None


def compare_operators(model: VoxCPM, candidate: Ops) -> None:
    """Raise PathRefused unless each operator gives what PyTorch's gives, in steps of a model."""
    compared = ComparedOps(candidate)
    trial = PathTrial(model, lambda _: cast("Ops", compared), make_capture=lambda: enforce_eager)
    run = trial.run(SAFE)
    run.speak(INPUTS[0])
    run.warm_up(max(ROWS))
    model.encode(torch.randn(model.encoder_rate, device=model.device))  # a clip of a second
    faults = dict(compared.faults)
    faults |= dict.fromkeys(sorted(compared.missing), "it was not run")
    if faults:
        raise PathRefused("; ".join(f"operator {name}: {what}" for name, what in faults.items()))


def small_model(parsed: ModelConfig, device: torch.device, dtype: torch.dtype) -> VoxCPM:
    """Return a model of these widths with few layers and random weights."""

    def cut(part: config.TransformerConfig) -> config.TransformerConfig:
        return replace(part, num_layers=min(LAYERS, part.num_layers))

    small = replace(
        parsed,
        base=cut(parsed.base),
        residual=cut(parsed.residual),
        encoder=cut(parsed.encoder),
        dit=cut(parsed.dit),
    )
    generator = torch.Generator(device).manual_seed(1)
    vae = RandomWeights(generator, tf32=device.type == "cuda" and dtype == torch.bfloat16)
    weights = RandomWeights(generator, dtype)
    model = ARCHITECTURES[small.architecture](small, weights, vae, no_tokenizer, TorchOps())
    if vae.tf32:  # compiled and tried, although random weights lose more by it than real ones
        model.decoder.fused = model.decoder.in_float16()
    return model


def main() -> None:
    """Read a request, ``{"config", "dtype", "device", "paths"}``, and print the verdicts."""
    request = json.load(sys.stdin)
    device = torch.device(request["device"])
    prepare_device(device)
    model = small_model(config.parse(request["config"]), device, getattr(torch, request["dtype"]))
    paths = [ExecutionPath(*path) for path in request["paths"]]
    for path, reason in verdicts(
        model, paths, lambda kernels: make_ops(kernels, device), lambda: CudaCapture(device)
    ):
        print(json.dumps({"path": path, "reason": reason}), flush=True)


if __name__ == "__main__":
    main()
