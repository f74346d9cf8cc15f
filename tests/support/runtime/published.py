"""Folders like the published checkpoints': true names, shapes and dtypes, but no data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from voxcpm_openai.runtime.device.outline import outline
from voxcpm_openai.runtime.loading.published import PublishedModel
from voxcpm_openai.runtime.loading.shapes import Shapes
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.testing.checkpoints import make_tokenizer

BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I8": 1}
VAE_EXTRA: Shapes = {"encoder.fc_logvar.bias": (64,), "encoder.fc_logvar.weight_g": (64, 1, 1)}


def make(folder: Path, model: PublishedModel) -> Path:
    """Write the files of a published model; ``.safetensors`` are sparse, pickles have no data."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model.config), encoding="utf-8")
    make_tokenizer(folder)
    expected = outline(parse(dict(model.config)), torch.bfloat16)
    path = folder / model.model_file
    if path.suffix == ".safetensors":
        write_sparse(path, expected.tensors, dict.fromkeys(expected.tensors, "BF16"))
    else:
        torch.save(empty(expected.tensors, torch.bfloat16), path)
    vae = empty({**expected.vae_tensors, **VAE_EXTRA}, torch.float32)
    if model.name == "VoxCPM2":
        vae["decoder.sr_bin_boundaries"] = torch.empty(3, dtype=torch.int32, device="meta")
    torch.save({"state_dict": vae}, folder / "audiovae.pth")
    return folder


def empty(shapes: Shapes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in shapes.items()}


def write_sparse(path: Path, shapes: Shapes, dtypes: dict[str, str]) -> None:
    """Write a safetensors file whose data is a hole: it takes no space on disk."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + BYTES[dtypes[name]] * math.prod(shape)
        header[name] = {"dtype": dtypes[name], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
