"""What the files of a checkpoint contain, read without their data, against what a model reads."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from voxcpm_openai.runtime.errors import CheckpointError
from voxcpm_openai.runtime.loading.files import check_whole, safetensors_header
from voxcpm_openai.runtime.loading.pickled import pickled_tensors
from voxcpm_openai.runtime.loading.shapes import Shapes

DTYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}
"""The names of dtypes in a safetensors file, and those of torch."""
UNUSED = ("encoder.fc_logvar.", "decoder.sr_bin_boundaries")
"""What published VAEs contain and no model reads: the variance, and a copy of the configuration."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file: its shape, and its dtype as torch names it."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Comparison:
    """How the tensors of a file fit those that a model reads."""

    fitting: int
    missing: tuple[str, ...]
    misshaped: tuple[str, ...]  # with both shapes
    unexpected: tuple[str, ...]  # that no published checkpoint has
    unused: tuple[str, ...]  # that published checkpoints have, too
    dtypes: Mapping[str, tuple[str, ...]]  # names by the dtype of those that are read


def tensors_of(path: Path) -> dict[str, TensorInfo]:
    """Return the tensors of a ``.safetensors`` file, or of one that ``torch.save`` wrote.

    Raises CheckpointError, one line that says whether the file is cut off or something else.
    """
    check_whole(path)
    return _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


def is_legacy(path: Path) -> bool:
    """Return whether ``torch.save`` wrote the file before 1.6, or as it did then: no archive."""
    return path.suffix != ".safetensors" and not zipfile.is_zipfile(path)


def compare(found: Mapping[str, TensorInfo], expected: Shapes) -> Comparison:
    """Compare the tensors of a file with those that a model reads."""
    fitting = {name for name, info in found.items() if info.shape == expected.get(name)}
    others = [name for name in found if name not in expected]
    unused = tuple(name for name in others if name.startswith(UNUSED))
    dtypes: dict[str, list[str]] = {}
    for name, info in found.items():
        if name in expected:
            dtypes.setdefault(info.dtype, []).append(name)
    return Comparison(
        fitting=len(fitting),
        missing=tuple(name for name in expected if name not in found),
        misshaped=tuple(
            f"{name} {_shape(found[name].shape)} instead of {_shape(shape)}"
            for name, shape in expected.items()
            if name in found and found[name].shape != shape
        ),
        unexpected=tuple(name for name in others if name not in unused),
        unused=unused,
        dtypes={dtype: tuple(names) for dtype, names in dtypes.items()},
    )


def usual_dtype(comparison: Comparison) -> str:
    """Return the dtype of most tensors that are read; empty if there are none."""
    counts = Counter({dtype: len(names) for dtype, names in comparison.dtypes.items()})
    return counts.most_common(1)[0][0] if counts else ""


def _safetensors(path: Path) -> dict[str, TensorInfo]:
    try:
        return {
            name: TensorInfo(
                tuple(map(int, entry["shape"])), DTYPES.get(entry["dtype"], entry["dtype"])
            )
            for name, entry in safetensors_header(path).items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name} is not a safetensors file.") from error


def _pickled(path: Path) -> dict[str, TensorInfo]:
    tensors = pickled_tensors(path, "meta")
    return {
        str(name): TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor)
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "of no axis"
