"""Which files a checkpoint's folder needs, and whether they are whole.  No torch."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

# The first file that exists is used, as upstream does.
MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
VAE_FILES = ("audiovae.safetensors", "audiovae.pth")
NEEDED = (("config.json",), ("tokenizer.json",), MODEL_FILES, VAE_FILES)
"""The names of each file, of which one is needed."""


def faults(folder: Path) -> list[str]:
    """List the files that the folder lacks, or that were cut off; reads their heads only."""
    found: list[str] = []
    for names in NEEDED:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            found.append(f"{' or '.join(names)} is missing")
        elif not _is_whole(path):
            found.append(f"{path.name} is not whole")
    return found


def _is_whole(path: Path) -> bool:
    """Return whether a file has the length that it says itself, as far as its kind says it."""
    try:
        if path.suffix == ".safetensors":
            return path.stat().st_size == _safetensors_bytes(path)
        with path.open("rb") as file:
            head = file.read(2)
        # The index of a zip archive, as `torch.save` writes it, is at its end.
        return zipfile.is_zipfile(path) if head == b"PK" else bool(head)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return False


def _safetensors_bytes(path: Path) -> int:
    """Return the size that the header of a safetensors file implies.  Raises for one that is none.

    The header is JSON after 8 bytes with its length; the offsets of tensors start behind it.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(file.read(length))
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
