"""The machine that figures come from; they mean nothing without its name."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Machine:
    """``device``: the name of the GPU or the processor; ``driver``: empty without a GPU."""

    device: str
    driver: str
    torch_version: str
    python_version: str

    @classmethod
    def of(cls, device: torch.device) -> Machine:
        """Look at this machine."""
        gpu = device.type == "cuda"
        return cls(
            device=torch.cuda.get_device_name(device) if gpu else f"cpu {platform.machine()}",
            driver=_driver() if gpu else "",
            torch_version=torch.__version__,
            python_version=platform.python_version(),
        )

    def __str__(self) -> str:
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.device}{driver}, torch {self.torch_version}, Python {self.python_version}"


def _driver() -> str:
    """Return the version of NVIDIA's driver, or ``unknown``: torch does not say it."""
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = answer.stdout.split()
    return lines[0] if answer.returncode == 0 and lines else "unknown"
