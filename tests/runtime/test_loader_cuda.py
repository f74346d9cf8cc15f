"""What the loader sets before it reads weights for a GPU; no GPU is needed, no weight is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device import loader
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
from voxcpm_openai.runtime.model.causal_conv import Upsample
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.runtime.model.linear import Plain, Tf32
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.vae import VAEDecoder


class WeightsWanted(Exception):
    """The loader has come to the weights."""


@pytest.fixture(name="load")
def _load(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Load a checkpoint up to its weights, on a device, in a dtype, with kernels."""

    def stop(*_: object, **__: object) -> None:
        raise WeightsWanted

    def load(device: str, dtype: str, kernels: str = "torch") -> None:
        monkeypatch.setattr(Checkpoint, "model", stop)
        with pytest.raises(WeightsWanted):
            load_model(checkpoint("voxcpm15"), device, dtype, kernels)

    return load


@pytest.fixture(autouse=True)
def _cudnn_attention() -> Iterator[None]:
    """Attention by cuDNN is on before each test, as it is in PyTorch, and after it."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cuda.enable_cudnn_sdp(True)


Load = Callable[..., None]


@pytest.fixture(name="tools")
def _tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Say which compilers there are, and whether Python's header is."""

    def set_tools(*compilers: str, cc: str | None = None, header: bool = True) -> None:
        monkeypatch.setattr(loader.shutil, "which", lambda name: name in compilers or None)
        monkeypatch.setattr(loader.sysconfig, "get_path", lambda *_: str(tmp_path))
        monkeypatch.setattr(loader, "find_spec", lambda _: True)
        if header:
            (tmp_path / "Python.h").touch()
        if cc is None:
            monkeypatch.delenv("CC", raising=False)
        else:
            monkeypatch.setenv("CC", cc)

    return set_tools


@pytest.mark.parametrize(
    ("compilers", "cc"), [(["gcc"], None), (["clang"], None), (["/opt/cc"], "/opt/cc")]
)
def test_triton_is_loaded_where_it_can_compile(
    load: Load, tools: Callable[..., None], compilers: list[str], cc: str | None
) -> None:
    pytest.importorskip("triton")
    tools(*compilers, cc=cc)
    load("cuda", "bfloat16", "triton")


@pytest.mark.parametrize(
    ("compilers", "cc", "header", "missing"),
    [
        ([], None, True, "no gcc and no clang"),
        (["gcc"], "/opt/cc", True, "no /opt/cc"),
        (["gcc"], None, False, "Python.h"),
    ],
)
def test_what_triton_misses_is_a_start_error_before_the_weights_are_read(
    checkpoint: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tools: Callable[..., None],
    compilers: list[str],
    cc: str | None,
    header: bool,
    missing: str,
) -> None:
    tools(*compilers, cc=cc, header=header)
    monkeypatch.setattr(Checkpoint, "model", lambda *_, **__: pytest.fail("weights are read"))
    with pytest.raises(StartError, match=f"VOXCPM_KERNELS=triton.*{missing}.*gcc, libc6-dev"):
        load_model(checkpoint("voxcpm15"), "cuda", "bfloat16", "triton")


@pytest.mark.parametrize(("device", "enabled"), [("cuda", False), ("cuda:1", False), ("cpu", True)])
def test_attention_by_cudnn_is_off_on_a_gpu(load: Load, device: str, enabled: bool) -> None:
    load(device, "float32")
    assert torch.backends.cuda.cudnn_sdp_enabled() is enabled


@pytest.mark.parametrize(
    ("device", "dtype", "rounds"),
    [
        ("cuda", "bfloat16", True),
        ("cuda", "float32", False),
        ("cpu", "bfloat16", False),
        ("cpu", "int8", False),
    ],
)
def test_the_vae_of_a_model_in_bfloat16_may_use_tf32_on_a_gpu(
    checkpoint: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    dtype: str,
    rounds: bool,
) -> None:
    asked: list[object] = []

    def stop(*_: object, tf32: bool) -> None:
        asked.append(tf32)
        raise WeightsWanted

    monkeypatch.setattr(Checkpoint, "model", lambda *_, **__: None)
    monkeypatch.setattr(Checkpoint, "vae", stop)
    with pytest.raises(WeightsWanted):
        load_model(checkpoint("voxcpm15"), device, dtype)
    assert asked == [rounds]


def test_only_the_upsampling_products_of_a_vae_use_tf32(checkpoint: Callable[[str], Path]) -> None:
    config = parse(Checkpoint(checkpoint("voxcpm15")).config())
    weights = Checkpoint(checkpoint("voxcpm15")).vae(torch.device("cpu"), tf32=True)
    decoder = VAEDecoder(weights, config.vae, TorchOps())
    products = [layer.product for layer in decoder.layers.layers if isinstance(layer, Upsample)]
    assert len(products) == len(config.vae.decoder_strides)
    assert all(isinstance(product, Tf32) for product in products)


def test_tf32_is_allowed_during_the_product_only(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, seen = torch.backends.cuda.matmul, []
    real = F.linear

    def spy(*arguments: torch.Tensor) -> torch.Tensor:
        seen.append(matmul.allow_tf32)
        return real(*arguments)

    monkeypatch.setattr(F, "linear", spy)
    weight, x = torch.ones(3, 2), torch.ones(4, 2)
    assert torch.equal(Tf32(weight, None)(x), torch.full((4, 3), 2.0))
    with pytest.raises(RuntimeError):
        Tf32(weight, None)(torch.ones(4, 5))
    assert Plain(weight, None)(x).shape == (4, 3)
    assert seen == [True, True, False]
