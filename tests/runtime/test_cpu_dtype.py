"""The fastest dtype of a CPU is measured once, and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.runtime.cpu import needs_int8
from voxcpm_openai.runtime import dtype_times
from voxcpm_openai.runtime.device import cpu_dtype
from voxcpm_openai.runtime.loading import published
from voxcpm_openai.runtime.loading.shapes import ShapeRecorder, Shapes
from voxcpm_openai.runtime.model.config import TransformerConfig, parse
from voxcpm_openai.runtime.model.ops import TorchOps
from voxcpm_openai.runtime.model.transformer import Transformer


@pytest.fixture(name="measured")
def _measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What is measured next: the test appends it."""
    times: list[dict[str, float]] = []
    monkeypatch.setattr(cpu_dtype, "measure", lambda: times.pop())
    return times


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"float32": 60, "bfloat16": 30, "int8": 20}, "bfloat16"),
        ({"float32": 60, "bfloat16": 58}, "float32"),
        ({"float32": 60, "bfloat16": 200, "int8": 30}, "float32"),
    ],
)
def test_the_fastest_accurate_dtype_is_chosen(times: dict[str, float], expected: str) -> None:
    assert dtype_times.choice(times) == expected


def test_the_times_are_measured_once_for_a_processor_pytorch_and_threads(
    tmp_path: Path, measured: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, slow = {"float32": 9.0, "bfloat16": 3.0}, {"float32": 9.0, "bfloat16": 30.0}
    measured[:] = [fast]
    assert dtype_times.kept(tmp_path, 2) is None
    for _ in range(2):
        assert cpu_dtype.fastest(tmp_path, 2) == "bfloat16"
    assert dtype_times.kept(tmp_path, 2) == fast
    measured[:] = [slow]
    assert cpu_dtype.fastest(tmp_path, 4) == "float32"
    monkeypatch.setattr(dtype_times, "version", lambda _: "9.9")
    measured[:] = [slow]
    assert cpu_dtype.fastest(tmp_path, 2) == "float32"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"ms": {"float32": 1}}', '{"key": {}, "ms": {"float32": "x"}}']
)
def test_a_damaged_file_is_measured_again(
    tmp_path: Path, measured: list[dict[str, float]], content: str
) -> None:
    measured[:] = [{"float32": 9.0, "bfloat16": 3.0}]
    cpu_dtype.fastest(tmp_path, 2)
    (file,) = tmp_path.glob("*.json")
    file.write_text(content, encoding="utf-8")
    measured[:] = [{"float32": 9.0, "bfloat16": 30.0}]
    assert cpu_dtype.fastest(tmp_path, 2) == "float32"


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, measured: list[dict[str, float]]
) -> None:
    (tmp_path / "file").touch()
    measured[:] = [{"float32": 9.0, "bfloat16": 3.0}]
    assert cpu_dtype.fastest(tmp_path / "file", 2) == "bfloat16"


@needs_int8
def test_the_shortest_time_of_each_product_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of two seconds for every call, but one of one second in five."""
    monkeypatch.setattr(cpu_dtype, "products", lambda _: [(2, 8, 16, 3), (1, 16, 8, 2)])

    def clock() -> Iterator[float]:
        now = 0.0
        for number in count():
            yield now
            now += 1.0 if number % (2 * cpu_dtype.ROUNDS) == 4 else 2.0

    times = cpu_dtype.measure(clock().__next__)
    assert times == dict.fromkeys(("float32", "bfloat16", "int8"), (3 + 2) * 1000.0)


@pytest.mark.parametrize("model", published.MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("part", ["base", "residual", "encoder", "dit"])
def test_the_products_are_those_of_the_model(model: published.PublishedModel, part: str) -> None:
    """As many weights as the layers of its transformers have."""
    config = parse(dict(model.config))
    alone = dataclasses.replace(
        config,
        **{
            other: dataclasses.replace(getattr(config, other), num_layers=0)
            for other in ("base", "residual", "encoder", "dit")
            if other != part
        },
    )
    calls = cpu_dtype.EVALUATIONS if part == "dit" else 1
    ours = sum(inputs * outputs * n for _, inputs, outputs, n in cpu_dtype.products(alone))
    assert ours == calls * matrix_weights(getattr(config, part))


def matrix_weights(config: TransformerConfig) -> int:
    shapes: Shapes = {}
    Transformer(ShapeRecorder(shapes), config, 8, TorchOps())
    return sum(shape[0] * shape[1] for shape in shapes.values() if len(shape) == 2)
