"""The 8-bit weights of a checkpoint, kept on disk: quantizing them takes most of a start.

A file for each product of the transformers, in a folder for the checkpoint as it is now.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

logger = logging.getLogger(__name__)

FORMAT = 1
"""Changes with the content of the files."""


class QuantizedWeights:
    """The weights of one checkpoint, by the name of their product.

    ``folder``: of all checkpoints; ``files``: those of this one that the weights depend on.  What
    was kept for earlier versions of these files is deleted when the first weights are kept.
    """

    def __init__(self, folder: Path, files: tuple[Path, ...]) -> None:
        paths, versions = hashlib.sha256(), hashlib.sha256(f"{FORMAT}".encode())
        for file in files:
            status = file.stat()
            paths.update(f"{file.resolve()}\0".encode())
            versions.update(f"{status.st_size}:{status.st_mtime_ns}\0".encode())
        self._all = folder
        self._checkpoint = paths.hexdigest()[:16]
        self._folder = folder / f"{self._checkpoint}-{versions.hexdigest()[:16]}"
        self._writable = True

    def get(self, name: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor] | None:
        """Return ``[outputs, inputs]`` in int8 and the scales ``[outputs]``, or None."""
        path = self._path(name)
        try:
            kept = load_file(path)
            weight, scale = kept["weight"], kept["scale"]  # [outputs, inputs], [outputs]
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, OSError) as error:
            logger.warning("%s is quantized again: %s", path, error)
            return None
        whole = weight.shape == (outputs, inputs) and scale.shape == (outputs,)
        return (weight, scale) if whole and weight.dtype == torch.int8 else None

    def put(self, name: str, weight: Tensor, scale: Tensor) -> None:
        """Keep ``weight [outputs, inputs]`` in int8 with ``scale [outputs]``.

        On a disk that is full or cannot be written, nothing more is kept.
        """
        if not self._writable:
            return
        path = self._path(name)
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            if not self._folder.is_dir():
                self._delete_earlier()
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_file({"weight": weight.contiguous(), "scale": scale.contiguous()}, draft)
            draft.replace(path)
        except (OSError, SafetensorError) as error:
            logger.warning("8-bit weights are not kept in %s: %s", self._folder, error)
            self._writable = False
            with suppress(OSError):
                draft.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"

    def _delete_earlier(self) -> None:
        for earlier in self._all.glob(f"{self._checkpoint}-*"):
            shutil.rmtree(earlier, ignore_errors=True)
