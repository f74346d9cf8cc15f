"""A checkpoint's folder: its files, its configuration, its tensors by name."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from voxcpm_openai.runtime.errors import CheckpointError
from voxcpm_openai.runtime.loading.files import MODEL_FILES, VAE_FILES
from voxcpm_openai.runtime.loading.packed_int8 import can_restore
from voxcpm_openai.runtime.loading.pickled import pickled_tensors
from voxcpm_openai.runtime.loading.quantized import QuantizedWeights


class Checkpoint:
    """The files of one folder.  Each is read only when it is needed."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not a folder: no checkpoint can be loaded from it.")
        self.folder = folder

    def config(self) -> dict[str, Any]:
        """Return the contents of ``config.json``."""
        path = self._find(("config.json",))
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON: {error}") from error
        if not isinstance(config, dict):
            raise CheckpointError(f"{path} should hold an object, not {type(config).__name__}.")
        return config

    def tokenizer(self) -> Path:
        """Return the path of ``tokenizer.json``, which exists."""
        return self._find(("tokenizer.json",))

    def model(
        self,
        device: torch.device,
        dtype: torch.dtype,
        *,
        int8: bool = False,
        cache: Path | None = None,
    ) -> Weights:
        """Return the tensors of the language models, LocEnc, LocDiT and the heads.

        ``int8``: the layers of the transformers are to multiply in 8 bits; their 8-bit weights are
        kept in the folder ``cache``, if this PyTorch can restore them.
        """
        path = self._find(MODEL_FILES)
        kept = None
        if int8 and cache is not None and can_restore():
            kept = QuantizedWeights(cache, (path, self._find(("config.json",))))
        return Weights(TensorFile(path), device, dtype, int8=int8, quantized=kept)

    def vae(self, device: torch.device, *, tf32: bool = False) -> Weights:
        """Return the tensors of the audio VAE, always in float32 as upstream runs it.

        ``tf32``: its matrix products may round their inputs.
        """
        return Weights(TensorFile(self._find(VAE_FILES)), device, torch.float32, tf32=tf32)

    def _find(self, names: tuple[str, ...]) -> Path:
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise CheckpointError(f"{self.folder} has no {' and no '.join(names)}.")


class TensorFile:
    """Tensors by name, from a ``.safetensors`` file or one written by ``torch.save``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = self._safetensors() if path.suffix == ".safetensors" else self._pickled()

    def read(self, name: str) -> Tensor:
        """Return a tensor of the file.  It may be a view of the file and must be copied."""
        try:
            return self._read(name)
        except (KeyError, SafetensorError) as error:
            raise CheckpointError(f"{self.path} has no tensor '{name}'.") from error

    def _safetensors(self) -> Callable[[str], Tensor]:
        def read(name: str) -> Tensor:
            # Opened for each tensor, which releases the pages it touched: with one handle for all,
            # the whole file would count as resident memory.
            with safe_open(self.path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor

        try:
            with safe_open(self.path, framework="pt"):
                return read
        except SafetensorError as error:
            raise CheckpointError(f"{self.path} is not a safetensors file: {error}") from error

    def _pickled(self) -> Callable[[str], Tensor]:
        # Memory-mapped: the system can evict the pages at any time.  PyTorch maps zip archives,
        # which it has written since 1.6, and nothing else.
        return pickled_tensors(self.path, "cpu", mmap=zipfile.is_zipfile(self.path)).__getitem__


class Weights:
    """The tensors under a name prefix, on one device and in one dtype.

    Each is copied once, to its final place; fused ones are filled part by part.
    """

    def __init__(
        self,
        file: TensorFile,
        device: torch.device,
        dtype: torch.dtype,
        prefix: str = "",
        *,
        int8: bool = False,
        tf32: bool = False,
        quantized: QuantizedWeights | None = None,
    ) -> None:
        self.file = file
        self.device = device
        self.dtype = dtype
        self.prefix = prefix
        self.int8 = int8
        self.tf32 = tf32
        self.quantized = quantized

    def under(self, name: str) -> Weights:
        """Return the tensors whose names continue with ``name`` and a dot."""
        prefix = f"{self.prefix}{name}."
        return Weights(
            self.file, self.device, self.dtype, prefix,
            int8=self.int8, tf32=self.tf32, quantized=self.quantized,
        )  # fmt: skip

    def tensor(self, name: str, *shape: int) -> Tensor:
        """Return one tensor.  Raises CheckpointError unless it has this shape."""
        return self.fused({name: shape[0]}, *shape[1:])

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Return tensors concatenated along their first axis.

        ``parts``: names and lengths of the first axis; ``shape``: the other axes.
        """
        fused = torch.empty(
            (sum(parts.values()), *shape), dtype=self.dtype, device=self.device
        )  # [sum of parts, *shape]
        end = 0
        for name, rows in parts.items():
            start, end = end, end + rows
            part = self.file.read(self.prefix + name)  # [rows, *shape]
            if part.shape != (rows, *shape):
                raise CheckpointError(
                    f"{self.file.path}: tensor '{self.prefix}{name}' has the shape "
                    f"{tuple(part.shape)}; config.json asks for {(rows, *shape)}."
                )
            fused[start:end].copy_(part)  # [rows, *shape]
        return fused
