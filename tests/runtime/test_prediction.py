"""What a step should cost on a GPU, as the documentation has it."""

from __future__ import annotations

import pytest
import torch

from voxcpm_openai.runtime.device.execution_path import ExecutionPath
from voxcpm_openai.runtime.loading.published import find
from voxcpm_openai.runtime.model.config import parse
from voxcpm_openai.testing.prediction import predicted


@pytest.mark.parametrize(
    ("name", "path", "rows", "launches", "milliseconds"),
    [
        ("VoxCPM2", ("torch", True), 1, 3023, 8.7),
        ("VoxCPM2", ("triton", True), 1, 1465, 5.2),
        ("VoxCPM2", ("triton", True), 64, 1429, 12.6),
        ("VoxCPM1.5", ("triton", True), 8, 1096, 3.6),
    ],
)
def test_the_predictions_are_those_of_the_documentation(
    name: str, path: tuple[str, bool], rows: int, launches: int, milliseconds: float
) -> None:
    published = find(name)
    assert published
    config = parse(dict(published.config))
    found = predicted(config, torch.bfloat16, ExecutionPath(*path), rows, evaluations=9)
    assert found["predicted_launches"] == launches
    assert found["predicted_ms"] == pytest.approx(milliseconds, abs=0.06)
