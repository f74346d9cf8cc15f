"""The GPUs that this process may use, found without torch and without waking one.

A process is given one of them by the variable that CUDA reads when it starts: it then sees no
other, and calls its own ``cuda:0``.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

from voxcpm_openai.errors import StartError

CUDA, HIP = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"
CONTAINER = "NVIDIA_VISIBLE_DEVICES"
"""What a container runtime is asked for, by the numbers of the host."""
LISTING_SECONDS = 60
"""How long nvidia-smi may take; without the persistence daemon it first wakes the driver."""
PROC = Path("/proc/driver/nvidia/gpus")
DEV = Path("/dev")
DRM = Path("/sys/class/drm")
DEVICES = ("nvidia[0-9]*", "dxg")
"""The devices of NVIDIA's driver on Linux, and the one of WSL's."""

_LISTED = re.compile(r"^(GPU|\s+MIG) .*\(UUID: ([^)\s]+)\)", re.MULTILINE)
_NAMED = re.compile(r"(?:GPU|MIG)-[\w/-]{1,60}")


class _Process:
    gpu: str | None = None


def own() -> str | None:
    """Return the GPU that this process was given, or None."""
    return _Process.gpu


def give(gpu: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let this process see one GPU only, one of ``visible``; CUDA must not have started."""
    for name in [name for name in (CUDA, HIP) if name in environ] or [CUDA]:
        environ[name] = gpu
    _Process.gpu = gpu


def give_named(device: str) -> None:
    """Let this process see only the GPU that a device like ``cuda:1`` names, if it has none yet.

    Raises StartError if there is no such GPU.
    """
    if _Process.gpu is None and (named := named_gpu(device)) is not None:
        give(named)


def named_gpu(device: str) -> str | None:
    """Return the GPU that a device like ``cuda:1`` names, or None if it names none.

    Raises StartError if there is no such GPU.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda" or not index.isdecimal():
        return None
    found = visible()
    if found is None:  # then CUDA knows more, or says what is wrong
        return index
    if int(index) < len(found):
        return found[int(index)]
    raise StartError(
        f"the engine is to run on {device}; the GPUs that can be used are "
        f"{shown(found) or 'none'}, counted from cuda:0."
    )


def shown(gpus: tuple[str, ...]) -> str:
    """Return a list of GPUs for a message."""
    return ", ".join(gpus)


def visible(
    environ: Mapping[str, str] = os.environ,
    on_machine: Callable[[], tuple[str, ...] | None] | None = None,
) -> tuple[str, ...] | None:
    """Return the GPUs that may be used, each as CUDA_VISIBLE_DEVICES names it.

    Empty if the environment hides all; None if none was found.  ``on_machine`` replaces the search.
    """
    there = (on_machine or machine_gpus)()
    for name in (CUDA, HIP):
        if name in environ:
            return _chosen(environ[name], there)
    wanted = environ.get(CONTAINER, "").strip()
    if wanted == "none":
        return ()
    if wanted not in {"", "all", "void"}:
        words = tuple(wanted.split(","))
        # A container sees what its runtime let in, by numbers of its own.
        if there is None:
            return tuple(str(index) for index in range(len(words)))
        return there if len(there) <= len(words) else _chosen(wanted, there)
    return there


def present(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether there is a device of a GPU, and the environment does not hide all of them."""
    return not _hidden(environ) and any(any(DEV.glob(pattern)) for pattern in DEVICES)


def amd_present(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether there is the device of AMD's driver, or WSL's; hidden ones do not count."""
    return not _hidden(environ) and any((DEV / name).exists() for name in ("kfd", "dxg"))


def intel_present() -> bool:
    """Return whether there is a GPU of Intel's, or WSL's device."""
    vendors = DRM.glob("renderD*/device/vendor")
    return (DEV / "dxg").exists() or any(_is_intel(vendor) for vendor in vendors)


def _is_intel(vendor: Path) -> bool:
    try:
        return vendor.read_text(encoding="ascii").strip() == "0x8086"
    except OSError:
        return False


def _hidden(environ: Mapping[str, str]) -> bool:
    return any(name in environ and _chosen(environ[name], None) == () for name in (CUDA, HIP))


def _chosen(value: str, there: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return what a list of GPUs names: as CUDA does, up to the first that does not exist."""
    found: list[str] = []
    if value.strip() == "all":
        return there
    for word in map(str.strip, value.split(",")):
        is_index = word.isdecimal() and (there is None or int(word) < len(there))
        if not is_index and not _NAMED.fullmatch(word):
            break
        found.append(word)
    return tuple(found) if len(set(found)) == len(found) else ()


def machine_gpus() -> tuple[str, ...] | None:
    """Return NVIDIA's GPUs in this machine or container, or None if none was found.

    A GPU that is divided counts as its MIG devices, for which all are named by UUIDs.
    """
    listed = _listed_by_nvidia_smi()
    if listed:
        return listed
    for folder, pattern in ((PROC, "*"), *((DEV, name) for name in DEVICES)):
        if count := sum(1 for _ in folder.glob(pattern)):
            return tuple(map(str, range(count)))
    return None


def _listed_by_nvidia_smi() -> tuple[str, ...]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LISTING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    groups: list[list[str]] = []  # of each GPU: its UUID, and those of its MIG devices
    for kind, uuid in _LISTED.findall(done.stdout):
        if kind == "GPU":
            groups.append([uuid])
        elif groups:
            groups[-1].append(uuid)
    if all(len(group) == 1 for group in groups):
        return tuple(map(str, range(len(groups))))
    return tuple(uuid for group in groups for uuid in group[1:] or group)
