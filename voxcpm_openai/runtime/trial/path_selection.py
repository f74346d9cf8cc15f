"""The execution path of one start: tried apart before the weights are loaded, chosen after."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from voxcpm_openai import __version__
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime import gpu
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.capture import Capture, CudaCapture, enforce_eager
from voxcpm_openai.runtime.device.execution_path import (
    SAFE,
    ExecutionPath,
    PathReport,
    allowed_paths,
)
from voxcpm_openai.runtime.device.loader import DTYPES, make_ops
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.trial.path_choice import choose_path
from voxcpm_openai.runtime.trial.path_trial import PathTrial
from voxcpm_openai.runtime.trial.trial_record import TrialRecord
from voxcpm_openai.runtime.trial.trial_run import TIMED_OUT, run_trial

logger = logging.getLogger(__name__)


class PathSelection:
    """Selects how the steps of a model run on a GPU, and remembers what went wrong.

    If the settings allow one path only, that is taken without a trial.
    """

    def __init__(
        self, device: torch.device, dtype: str, config: Mapping[str, object], folder: Path
    ) -> None:
        """``config``: the content of ``config.json``; ``folder``: where verdicts are kept."""
        self._device = device
        self._config, self._dtype, self._folder = config, dtype, folder
        self._paths: Sequence[ExecutionPath] = ()
        self._refused: dict[ExecutionPath, str] = {}
        self._selected: ExecutionPath | None = None

    @cached_property
    def record(self) -> TrialRecord:
        """What is known of the paths on this device."""
        key = {**versions(self._device), "config": self._config, "dtype": self._dtype}
        return TrialRecord(self._folder, key)

    def try_apart(self, kernels: str, graphs: str) -> None:
        """Try the paths that the settings allow in a process of its own, unless that is known.

        ``kernels``: ``auto``, ``torch`` or ``triton``; ``graphs``: ``auto``, ``on`` or ``off``.
        """
        self._paths = self._allowed(kernels, graphs)
        if len(self._paths) == 1:
            make_ops(self._paths[0].kernels, self._device)  # an error before the weights are loaded
            return
        missing = self._missing_kernels()
        verdicts = {**self.record.verdicts, **missing}
        if unknown := [path for path in self._paths if path not in verdicts]:
            logger.info(
                "trying how the steps run best on %s, in a process of its own", self._device
            )
            dtype = str(DTYPES[self._dtype]).removeprefix("torch.")
            request = {"config": self._config, "device": str(self._device), "dtype": dtype}
            found = run_trial(request, unknown)
            self.record.keep(
                {path: why for path, why in found.items() if not (why or "").startswith(TIMED_OUT)}
            )
            verdicts |= found
        self._refused = {path: why for path in self._paths if (why := verdicts[path]) is not None}
        self._refused |= {
            path: why for path, why in self.record.lost.items() if path in self._paths
        }

    def select(self, model: VoxCPM) -> PathReport:
        """Choose the path of a loaded model; the model has its operators then.

        Raises StartError if there is none, or the device is lost.
        """
        if len(self._paths) == 1:
            report = PathReport(self._paths[0])
            model.use(make_ops(report.path.kernels, self._device))
        else:
            report = self._chosen(model)
        self._selected = report.path
        logger.info("steps run on: %s", report)
        for path, reason in report.refused.items():
            logger.info("not on: %s: %s", path, reason)
        return report

    def capture(self) -> Capture:
        """Return how the steps of the selected path are captured."""
        return self._capture() if self._selected and self._selected.graphs else enforce_eager

    def refuse(self, reason: str) -> None:
        """Refuse the selected path from the next start on."""
        if self._selected is not None and len(self._paths) > 1:
            self.record.lose(self._selected, reason)

    def _missing_kernels(self) -> dict[ExecutionPath, str]:
        """Return the paths whose operators cannot be had here; that may change at any start."""
        missing: dict[str, str] = {}
        for kernels in {path.kernels for path in self._paths}:
            try:
                make_ops(kernels, self._device)
            except StartError as error:
                missing[kernels] = str(error)
        return {path: missing[path.kernels] for path in self._paths if path.kernels in missing}

    def _allowed(self, kernels: str, graphs: str) -> Sequence[ExecutionPath]:
        """Return the paths that the settings allow here; ``auto`` is for NVIDIA's GPUs only.

        Raises StartError for what the device does not have.
        """
        if devices.is_nvidia(self._device):
            return allowed_paths(kernels, graphs)
        if self._device.type != "cuda" and graphs == "on":
            raise StartError(
                f"VOXCPM_CUDA_GRAPHS=on needs a CUDA device; the model runs on {self._device}. "
                "Leave it at auto."
            )
        kernels = SAFE.kernels if kernels == "auto" else kernels
        return allowed_paths(kernels, "off" if graphs == "auto" else graphs)

    def _chosen(self, model: VoxCPM) -> PathReport:
        trial = PathTrial(model, lambda kernels: make_ops(kernels, self._device), self._capture)
        try:
            report = choose_path(trial, self._paths, self._refused, trying=self.record.trying)
        except DeviceError as error:
            raise StartError(
                f"{self._device} was lost while the ways to run its steps were tried: {error}. "
                "The next start leaves out the one that did it."
            ) from error
        self.record.keep_choice(report)
        torch.cuda.empty_cache()  # of what was tried
        return report

    def _capture(self) -> Capture:
        return CudaCapture(self._device)


def versions(device: torch.device) -> dict[str, Any]:
    """Return what a verdict depends on besides the model."""
    try:
        triton: str | None = metadata.version("triton")
    except metadata.PackageNotFoundError:
        triton = None
    return {
        "gpu": devices.name_of(device) if device.type != "cpu" else platform.machine(),
        "driver": [gpu.driver_cuda(), gpu.driver_version()],
        "torch": torch.__version__,
        "triton": triton,
        "voxcpm_openai": __version__,
    }
