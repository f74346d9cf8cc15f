"""A checkpoint's folder: its files, its configuration, and its tensors by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.model.ops import Ops

# Of each pair the first one that exists is read, as upstream does.
MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
VAE_FILES = ("audiovae.safetensors", "audiovae.pth")


class CheckpointError(StartError):
    """A file or a tensor of the checkpoint is missing or wrong; the message names it."""


class Checkpoint:
    """The files of one folder.  Nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not a folder: no checkpoint can be loaded from it.")
        self.folder = folder

    def config(self) -> dict[str, Any]:
        """``config.json`` as it is."""
        path = self._find(("config.json",))
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as fault:
            raise CheckpointError(f"{path} is not JSON: {fault}") from fault
        if not isinstance(config, dict):
            raise CheckpointError(f"{path} should hold an object, not {type(config).__name__}.")
        return config

    def tokenizer(self) -> Path:
        """``tokenizer.json``, which exists."""
        return self._find(("tokenizer.json",))

    def model(
        self, device: torch.device, dtype: torch.dtype, ops: Ops, *, int8: bool = False
    ) -> Weights:
        """Return the tensors of the language models, LocEnc, LocDiT and the heads.

        ``int8``: the big products among them are to be made of 8-bit numbers.
        """
        return Weights(TensorFile(self._find(MODEL_FILES)), device, dtype, ops=ops, int8=int8)

    def vae(self, device: torch.device, ops: Ops) -> Weights:
        """Return the tensors of the audio VAE, always in float32 as upstream runs it."""
        return Weights(TensorFile(self._find(VAE_FILES)), device, torch.float32, ops=ops)

    def _find(self, names: tuple[str, ...]) -> Path:
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise CheckpointError(f"{self.folder} has no {' and no '.join(names)}.")


class TensorFile:
    """Tensors by name, of a ``.safetensors`` file or of one that ``torch.save`` wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = self._safetensors() if path.suffix == ".safetensors" else self._pickled()

    def read(self, name: str) -> Tensor:
        """Return a tensor as it is in the file; it may be a view of the file and must be copied."""
        try:
            return self._read(name)
        except (KeyError, SafetensorError) as fault:
            raise CheckpointError(f"{self.path} has no tensor '{name}'.") from fault

    def _safetensors(self) -> Callable[[str], Tensor]:
        def read(name: str) -> Tensor:
            # Opened anew for each tensor: the pages of the file that were touched are let go with
            # it, where one handle for all would count the whole file in memory a second time.
            with safe_open(self.path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor

        try:
            with safe_open(self.path, framework="pt"):
                return read
        except SafetensorError as fault:
            raise CheckpointError(f"{self.path} is not a safetensors file: {fault}") from fault

    def _pickled(self) -> Callable[[str], Tensor]:
        try:
            # Mapped, not read: the pages belong to the system, which takes them back at will.
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as fault:  # torch and pickle raise a dozen kinds here
            raise CheckpointError(f"{self.path} cannot be read: {fault}") from fault
        tensors = content.get("state_dict", content) if isinstance(content, dict) else content
        if not isinstance(tensors, dict):
            raise CheckpointError(f"{self.path} holds no tensors by name.")
        return tensors.__getitem__


class Weights:
    """The tensors under a prefix, handed out on one device and in one dtype.

    Each is copied once, straight to where it stays; fused ones are filled part by part.  ``ops``:
    what the model is to calculate with beside its products.
    """

    def __init__(
        self,
        file: TensorFile,
        device: torch.device,
        dtype: torch.dtype,
        prefix: str = "",
        *,
        ops: Ops,
        int8: bool = False,
    ) -> None:
        self.file = file
        self.ops = ops
        self.device = device
        self.dtype = dtype
        self.prefix = prefix
        self.int8 = int8

    def under(self, name: str) -> Weights:
        """Return the tensors whose names go on with ``name`` and a dot."""
        prefix = f"{self.prefix}{name}."
        return Weights(self.file, self.device, self.dtype, prefix, ops=self.ops, int8=self.int8)

    def tensor(self, name: str, *shape: int) -> Tensor:
        """Return one tensor, which must have just this shape."""
        return self.fused({name: shape[0]}, *shape[1:])

    def fused(self, parts: Mapping[str, int], *shape: int) -> Tensor:
        """Return tensors joined along their first axis; ``parts`` says how long it is in each.

        ``shape``: the other axes, which all of them share.
        """
        whole = torch.empty(
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
            whole[start:end].copy_(part)  # [rows, *shape]
        return whole
