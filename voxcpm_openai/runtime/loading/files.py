"""Which files a checkpoint's folder needs, and whether they are whole.  No torch."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from voxcpm_openai.runtime.errors import CheckpointError

# The first file that exists is used, as upstream does.
MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
VAE_FILES = ("audiovae.safetensors", "audiovae.pth")
NEEDED = (("config.json",), ("tokenizer.json",), MODEL_FILES, VAE_FILES)
"""The names of each file, of which one is needed."""
MAX_HEADER = 100_000_000
"""Bytes; safetensors allows no longer header, so a larger number is no length."""
LFS_POINTER = b"version https://git-lfs"


def faults(folder: Path) -> list[str]:
    """List the files that the folder lacks, or that were cut off; reads their heads only."""
    found: list[str] = []
    for names in NEEDED:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            found.append(f"{' or '.join(names)} is missing")
            continue
        try:
            check_whole(path)
        except CheckpointError as error:
            found.append(str(error).removesuffix("."))
    return found


def check_whole(path: Path) -> None:
    """Raise CheckpointError if a file is not there as a whole, as far as its kind tells that."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error
    if not size:
        raise CheckpointError(f"{path.name} is empty.")
    if start == LFS_POINTER:
        raise CheckpointError(
            f"{path.name} is a pointer of Git LFS and not the file itself: fetch it (git lfs pull)."
        )
    if path.suffix == ".safetensors":
        safetensors_header(path)
    # The index of a zip archive, as `torch.save` writes it, is at its end.
    elif start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path.name} is cut off after {size:,} bytes: download it again.")


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a safetensors file says of each tensor: ``shape``, ``dtype``, ``data_offsets``.

    The header is JSON after 8 bytes with its length; the offsets of tensors start behind it.
    Raises CheckpointError, also if the file has another length than that.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise CheckpointError(f"{path.name} is not a safetensors file.")
        text = file.read(length)
    if len(text) < length or size < 8:
        raise CheckpointError(
            f"{path.name} is cut off within its header, after {size:,} bytes: download it again."
        )
    try:
        header: dict[str, Any] = json.loads(text)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{path.name} is not a safetensors file.") from error
    if (whole := 8 + length + end) != size:
        problem = "is cut off" if size < whole else "is longer than its header says"
        raise CheckpointError(
            f"{path.name} {problem}: it has {size:,} of {whole:,} bytes; download it again."
        )
    return tensors
