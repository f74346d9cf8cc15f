"""Weights in 8 bits are quantized at the first start, and kept for the next ones."""

from __future__ import annotations

import logging
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.runtime.cpu import needs_int8
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.loading import checkpoint as checkpoint_module
from voxcpm_openai.runtime.loading import packed_int8
from voxcpm_openai.runtime.loading.packed_int8 import PackedInt8
from voxcpm_openai.runtime.model.linear import Int8
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.testing.streams import Stream, alone, normal

pytestmark = needs_int8

TEXT = "the hello"


@pytest.fixture(name="quantized")
def _quantized(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of the weights that were quantized."""
    shapes: list[torch.Size] = []
    real = Int8.quantized

    def record(weight: torch.Tensor) -> tuple[PackedInt8, torch.Tensor]:
        shapes.append(weight.shape)
        return real(weight)

    monkeypatch.setattr(Int8, "quantized", record)
    return shapes


@pytest.fixture(name="folder")
def _folder(checkpoint: Callable[[str], Path], tmp_path: Path) -> Path:
    """A checkpoint of the test's own."""
    return Path(shutil.copytree(checkpoint("voxcpm15"), tmp_path / "checkpoint"))


def patch_of(folder: Path, cache: Path | None) -> torch.Tensor:
    """Load the model in 8 bits and return the latents of a patch, ``[1, P, C]``."""
    return alone(load_model(folder, "cpu", "int8", cache=cache), Stream(TEXT, patches=1)).latents


def test_kept_weights_are_not_quantized_again_and_are_the_same(
    folder: Path, tmp_path: Path, quantized: list[torch.Size]
) -> None:
    without = patch_of(folder, None)
    first = patch_of(folder, tmp_path / "cache")
    count = len(quantized)
    second = patch_of(folder, tmp_path / "cache")
    assert count > 10
    assert len(quantized) == count
    assert torch.equal(first, without)
    assert torch.equal(second, without)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_changed_checkpoint_is_quantized_again_and_replaces_the_old_weights(
    folder: Path, tmp_path: Path, quantized: list[torch.Size], name: str
) -> None:
    cache = tmp_path / "cache"
    patch_of(folder, cache)
    count = len(quantized)
    (before,) = cache.iterdir()
    os.utime(folder / name, ns=(0, 0))
    patch_of(folder, cache)
    assert len(quantized) == 2 * count
    (after,) = cache.iterdir()
    assert after != before


def test_two_checkpoints_are_kept_beside_each_other(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for path in (folder, other):
        patch_of(path, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("size", [0, 7, 200])
def test_a_damaged_file_is_written_again(
    folder: Path, tmp_path: Path, quantized: list[torch.Size], size: int
) -> None:
    expected = patch_of(folder, tmp_path / "cache")
    count = len(quantized)
    file = next((tmp_path / "cache").glob("*/*.safetensors"))
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    assert torch.equal(patch_of(folder, tmp_path / "cache"), expected)
    assert len(quantized) == count + 1
    assert file.read_bytes() == whole


def test_a_file_of_another_shape_is_not_used(
    folder: Path, tmp_path: Path, quantized: list[torch.Size]
) -> None:
    expected = patch_of(folder, tmp_path / "cache")
    count = len(quantized)
    (kept,) = (tmp_path / "cache").iterdir()
    shutil.copyfile(
        next(kept.glob("base_lm.layers.0.mlp.gate*")), next(kept.glob("base_lm.layers.0.mlp.down*"))
    )
    assert torch.equal(patch_of(folder, tmp_path / "cache"), expected)
    assert len(quantized) == count + 1


def test_weights_that_another_processor_packed_are_packed_again(
    folder: Path, tmp_path: Path, quantized: list[torch.Size]
) -> None:
    expected = patch_of(folder, tmp_path / "cache")
    count = len(quantized)
    file = next((tmp_path / "cache").glob("*/*.safetensors"))
    whole = file.read_bytes()
    tensors = load_file(file)
    tensors["layout"][100] += 1
    save_file(tensors, file)
    assert torch.equal(patch_of(folder, tmp_path / "cache"), expected)
    assert len(quantized) == count + 1
    assert file.read_bytes() == whole


@pytest.mark.parametrize("error", [AttributeError, OSError, RuntimeError])
def test_a_pytorch_without_the_functions_cannot_restore_weights(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def library() -> None:
        raise error

    monkeypatch.setattr(packed_int8, "_library", library)
    assert not packed_int8.can_restore.__wrapped__()


def test_where_weights_cannot_be_restored_none_are_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = patch_of(folder, tmp_path / "cache")
    monkeypatch.setattr(checkpoint_module, "can_restore", lambda: False)
    for cache in (tmp_path / "cache", tmp_path / "other"):
        assert torch.equal(patch_of(folder, cache), expected)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("shape", [(8, 16), (96, 64), (1000, 7)])
def test_restored_weights_multiply_as_before_with_memory_of_their_own(
    shape: tuple[int, int],
) -> None:
    weight, scale = Int8.quantized(normal(*shape, seed=0))
    content = weight.content()
    restored = PackedInt8.restore(content, packed_int8.layout_here(*shape))
    content.zero_()
    x = normal(5, shape[1], seed=1)
    before, after = (Int8(one, scale, None, TorchOps())(x) for one in (weight, restored))
    assert torch.equal(before, after)


def test_content_of_another_size_is_no_weight() -> None:
    weight, _ = Int8.quantized(normal(96, 64, seed=0))
    with pytest.raises(ValueError, match="bytes instead of"):
        PackedInt8.restore(weight.content()[:-1], weight.layout())


def test_on_a_full_disk_nothing_is_kept(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = patch_of(folder, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with caplog.at_level(logging.WARNING):
            assert torch.equal(patch_of(folder, tmp_path / "cache"), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len([one for one in caplog.records if "are not kept" in one.message]) == 1
    assert list((tmp_path / "cache").glob("*/*")) == []


def test_without_a_writable_folder_each_start_quantizes(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(patch_of(folder, tmp_path / "file"), patch_of(folder, None))
    assert len([one for one in caplog.records if "are not kept" in one.message]) == 1
