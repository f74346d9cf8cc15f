"""The 8-bit weights of a checkpoint, kept on disk: quantizing and packing takes most of a start.

A file for each product of the transformers, in a folder for the checkpoint as it is now.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from voxcpm_openai.files import replaced
from voxcpm_openai.runtime.loading.packed_int8 import PackedInt8, layout_here

logger = logging.getLogger(__name__)

FORMAT = 2
"""Changes with the content of the files."""


class QuantizedWeights:
    """The weights of one checkpoint, by the name of their product; it takes ``can_restore``.

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

    def get(self, name: str, outputs: int, inputs: int) -> tuple[PackedInt8, Tensor] | None:
        """Return a weight ``[outputs, inputs]`` and its scales ``[outputs]``, or None.

        Weights that another processor or PyTorch packed in another way are not returned.
        """
        path = self._path(name)
        try:
            kept = load_file(path)
            packed, layout, scale = kept["packed"], kept["layout"], kept["scale"]
            here = layout_here(outputs, inputs)
            if layout.numpy().tobytes() != here.description or scale.shape != (outputs,):
                return None
            return PackedInt8.restore(packed, here), scale  # [outputs]
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, OSError, ValueError) as error:
            logger.warning("%s is quantized again: %s", path, error)
            return None

    def put(self, name: str, weight: PackedInt8, scale: Tensor) -> None:
        """Keep a weight ``[outputs, inputs]`` with its ``scale [outputs]``.

        On a disk that is full or cannot be written, nothing more is kept.
        """
        if not self._writable:
            return
        try:
            if not self._folder.is_dir():
                self._delete_earlier()
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            layout = torch.frombuffer(bytearray(weight.layout().description), dtype=torch.uint8)
            tensors = {"packed": weight.content(), "layout": layout, "scale": scale.contiguous()}
            with replaced(self._path(name)) as draft:
                save_file(tensors, draft)
        except (OSError, SafetensorError) as error:
            logger.warning("8-bit weights are not kept in %s: %s", self._folder, error)
            self._writable = False

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"

    def _delete_earlier(self) -> None:
        for earlier in self._all.glob(f"{self._checkpoint}-*"):
            shutil.rmtree(earlier, ignore_errors=True)
