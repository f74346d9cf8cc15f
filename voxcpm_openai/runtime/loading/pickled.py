"""Tensors by name from a file that ``torch.save`` has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from voxcpm_openai.runtime.errors import CheckpointError


def pickled_tensors(path: Path, device: str, *, mmap: bool = False) -> dict[str, Any]:
    """Return the tensors of a file on a device; ``meta`` reads none of their data.

    Values that are not tensors are returned, too.  Raises CheckpointError.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True, mmap=mmap)
    except Exception as error:  # of torch, pickle, zipfile or the disk, without a common type
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read: {reason}") from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(tensors, dict):
        raise CheckpointError(f"{path} holds no tensors by name.")
    return tensors
