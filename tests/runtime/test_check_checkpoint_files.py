"""``tools/check_checkpoint.py`` and the files of a checkpoint: each fault is one clear line."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.runtime import published as folders
from tests.support.runtime.checkpoint_tool import WRONG, Line, check_files
from voxcpm_openai.runtime.loading.published import MODELS, PublishedModel

SECOND = MODELS[2]


@pytest.fixture
def folder(checkpoint: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a small checkpoint, to be damaged."""
    return Path(shutil.copytree(checkpoint("voxcpm2"), tmp_path / "broken"))


def wrong(folder: Path) -> list[Line]:
    return [line for line in check_files(folder) if line.level == WRONG]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_files_as_they_are_published_fit(tmp_path: Path, model: PublishedModel) -> None:
    lines = check_files(folders.make(tmp_path / "model", model))
    assert {line.level for line in lines} == {"ok"}
    texts = {line.what: line.text for line in lines}
    assert texts["config.json"] == f"{model.name}, with the published values."
    counts = {"VoxCPM-0.5B": (377, 240, 2), "VoxCPM1.5": (467, 296, 2), "VoxCPM2": (577, 308, 3)}
    tensors, vae_tensors, unused = counts[model.name]
    assert texts[model.model_file] == f"{tensors} of {tensors} tensors fit, all in bfloat16."
    assert texts["audiovae.pth"] == (
        f"{vae_tensors} of {vae_tensors} tensors fit, all in float32; {unused} more are unused, "
        "as published."
    )
    factors = "64 factors from 0.998 to 31.024" if model is SECOND else "32 factors from 1.000"
    assert texts["rope"].startswith(factors)
    assert texts["rope"].endswith("long = short, scale 1.000, as published.")


@pytest.mark.parametrize(
    ("change", "what", "text"),
    [
        ({"max_length": 4096}, "config.json", "VoxCPM2's: max_length is 4096, published 8192."),
        ({"long_factor": [1.0] * 64}, "rope", "long not short, scale 1.000; other than VoxCPM2's"),
        ({"short_factor": [1.0] * 64}, "rope", "other than VoxCPM2's"),
    ],
)
def test_another_configuration_is_noted_and_followed(
    tmp_path: Path, change: dict[str, Any], what: str, text: str
) -> None:
    content = json.loads(json.dumps(SECOND.config))
    scaling = content["lm_config"]["rope_scaling"]
    (scaling if next(iter(change)).endswith("factor") else content).update(change)
    path = folders.make(tmp_path / "model", SECOND)
    (path / "config.json").write_text(json.dumps(content))
    (noted,) = [line for line in check_files(path) if line.level == "note"]
    assert noted.what == what
    assert text in noted.text


def test_other_dtypes_are_noted_unless_they_are_no_numbers_to_use(tmp_path: Path) -> None:
    path = folders.make(tmp_path / "model", SECOND)
    shapes = folders.outline(folders.parse(dict(SECOND.config)), torch.bfloat16).tensors
    dtypes = dict.fromkeys(shapes, "BF16") | {"stop_proj.bias": "F32", "stop_head.weight": "F16"}
    folders.write_sparse(path / "model.safetensors", shapes, dtypes)
    lines = [line for line in check_files(path) if line.level != "ok"]
    assert {(line.level, line.text) for line in lines} == {
        ("note", "in float32 (converted): stop_proj.bias."),
        ("note", "in float16 (converted): stop_head.weight."),
    }
    folders.write_sparse(path / "model.safetensors", shapes, {**dtypes, "stop_proj.bias": "I8"})
    (line,) = wrong(path)
    assert line.text == "in int8 (no numbers to use): stop_proj.bias."
    folders.write_sparse(path / "model.safetensors", shapes, dict.fromkeys(shapes, "F32"))
    (line,) = [line for line in check_files(path) if line.level != "ok"]
    assert line.text == "most are float32, not bfloat16; they are converted."


def test_missing_misshaped_and_unknown_tensors_are_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["unknown"] = tensors.pop("stop_proj.bias")
    tensors["stop_head.weight"] = tensors["stop_head.weight"][:1].contiguous()
    for layer in range(2):
        del tensors[f"base_lm.layers.{layer}.mlp.up_proj.weight"]
        del tensors[f"base_lm.layers.{layer}.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    lines = [line for line in check_files(folder) if line.what == "model.safetensors"]
    assert [line.level for line in lines] == ["ok", WRONG, WRONG, "note"]
    fit, missing, misshaped, unexpected = (line.text for line in lines)
    assert fit == "94 of 100 tensors fit, all in float32."
    assert missing.startswith("missing: base_lm.layers.0.mlp.up_proj.weight, ")
    assert missing.endswith(" and 1 more.")
    assert misshaped == "of another shape: stop_head.weight 1x48 instead of 2x48."
    assert unexpected == "unexpected: unknown."


def test_a_folder_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    (line,) = wrong(tmp_path / "nowhere")
    assert line.text == f"{tmp_path / 'nowhere'} is not a folder."


def test_every_missing_file_is_a_line(tmp_path: Path) -> None:
    lines = wrong(tmp_path)
    names = ["config.json", "tokenizer.json", "pytorch_model.bin", "audiovae.pth"]
    assert [line.what for line in lines] == names
    assert "there is no model.safetensors and no pytorch_model.bin." in lines[2].text


def test_a_link_to_a_file_that_is_gone_is_a_missing_file(folder: Path) -> None:
    """So an interrupted download looks in the hub's cache."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "blob")
    (line,) = wrong(folder)
    assert "voxcpm-openai pull" in line.text


@pytest.mark.parametrize("name", ["model.safetensors", "audiovae.safetensors"])
@pytest.mark.parametrize(
    ("part", "text"),
    [(0.9, "is cut off: it has "), (0.001, "is cut off within its header"), (0, "is empty.")],
)
def test_a_download_that_was_cut_off_is_recognized(
    folder: Path, name: str, part: float, text: str
) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(part * len(content))])
    (line,) = wrong(folder)
    assert line.what == name
    assert line.text.startswith(f"{name} {text}")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "audiovae.pth"])
def test_a_pickle_that_was_cut_off_is_recognized(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(checkpoint("voxcpm05b"), tmp_path / "broken"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    (line,) = wrong(folder)
    assert line.text.startswith(f"{name} is cut off after ")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"<!doctype html><html>Not found</html>", "is not a safetensors file"),
        ((2).to_bytes(8, "little") + b"[]", "is not a safetensors file"),
        ((9).to_bytes(8, "little") + b'{"a": 1 }', "is not a safetensors file"),
    ],
)
def test_other_content_is_one_line(folder: Path, content: bytes, text: str) -> None:
    (folder / "model.safetensors").write_bytes(content)
    (line,) = wrong(folder)
    assert text in line.text


@pytest.mark.parametrize("content", [b"rubbish", pickle.dumps(print), pickle.dumps({"a": 1})])
def test_a_pickle_of_something_else_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "audiovae.safetensors").unlink()
    (folder / "audiovae.pth").write_bytes(content)
    lines = wrong(folder)
    assert [line.what for line in lines] == ["audiovae.pth"]
    assert "\n" not in lines[0].text


def test_tensors_that_are_not_in_an_object_are_one_line(folder: Path) -> None:
    (folder / "audiovae.safetensors").unlink()
    torch.save([torch.zeros(1)], folder / "audiovae.pth")
    (line,) = wrong(folder)
    assert line.text == f"{folder / 'audiovae.pth'} holds no tensors by name."


def test_torchs_old_format_is_read_and_noted(folder: Path) -> None:
    tensors = load_file(folder / "audiovae.safetensors")
    (folder / "audiovae.safetensors").unlink()
    torch.save(
        {"state_dict": tensors}, folder / "audiovae.pth", _use_new_zipfile_serialization=False
    )
    lines = [line for line in check_files(folder) if line.what == "audiovae.pth"]
    assert [line.level for line in lines] == ["note", "ok"]
    assert "before 1.6" in lines[0].text
    assert lines[1].text.startswith("308 of 308 tensors fit")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b'{"lm_config": {"no": 1}}'])
def test_a_wrong_configuration_does_not_hide_the_other_files(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    lines = check_files(folder)
    assert [line.what for line in lines if line.level == WRONG] == ["config.json"]
    noted = {line.what: line.text for line in lines if line.level == "note"}
    assert noted["model.safetensors"] == "it has 100 tensors, which cannot be compared."


def test_an_impossible_number_of_the_configuration_is_one_line(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_bytes())
    content["lm_config"]["rope_scaling"]["original_max_position_embeddings"] = 0
    (folder / "config.json").write_text(json.dumps(content))
    (line,) = wrong(folder)
    assert line.what == "config.json"
    assert line.text.startswith("config.json: 4096 positions, 0 of them original")
