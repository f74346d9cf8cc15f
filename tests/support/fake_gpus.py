"""A machine's GPUs, as nvidia-smi, /proc and /dev show them, without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxcpm_openai import gpus

PLUGIN = """
import os
import sys

from voxcpm_openai import EngineSpec, EngineStatus, Preset, hookimpl, plugin_settings, setting
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine


@plugin_settings("graphics")
class GraphicsSettings:
    device: str = setting("auto", "Where it runs.")


class GraphicsEngine(ToneEngine):
    def status(self):
        seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES",)}
        return EngineStatus(details={**seen, "torch": "torch" in sys.modules})


@hookimpl
def register_engines():
    device = lambda settings: settings.of(GraphicsSettings).device
    start = lambda settings: GraphicsEngine()
    return [EngineSpec("graphics", start, settings=GraphicsSettings, device=device)]


@hookimpl
def register_presets():
    return [Preset("graphics", engine="graphics")]
"""
"""A plugin with an engine that says it runs on GPUs, and shows which it sees."""

VARIABLES = (gpus.CUDA, gpus.HIP, gpus.CONTAINER)


def hide_gpus(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let nothing of this machine's GPUs be seen; ``proc`` and ``dev`` of the folder replace it."""
    (folder / "dev").mkdir()
    (folder / "bin").mkdir()
    monkeypatch.setattr(gpus, "PROC", folder / "proc")
    monkeypatch.setattr(gpus, "DEV", folder / "dev")
    monkeypatch.setattr(gpus._Process, "gpu", None)
    monkeypatch.setenv("PATH", str(folder / "bin"))
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is restored, also if it is not set
        monkeypatch.delenv(name)


def nvidia_smi(folder: Path, listed: str, status: int = 0) -> None:
    """Write a program nvidia-smi that prints a list."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{listed}'\nexit {status}\n")
    program.chmod(0o755)


def list_gpus(monkeypatch: pytest.MonkeyPatch, folder: Path, listed: str, status: int = 0) -> None:
    """Put a program nvidia-smi on the PATH that prints a list."""
    nvidia_smi(folder / "bin", listed, status)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.defpath}")


def many(count: int) -> str:
    """Return what nvidia-smi lists on a machine with equal GPUs."""
    return "".join(
        f"GPU {index}: NVIDIA H100 (UUID: GPU-{index:08d}-1111-2222-3333-444444444444)\n"
        for index in range(count)
    )
