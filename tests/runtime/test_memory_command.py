"""``voxcpm-openai check --model``: the predicted memory of a model, by name or folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from voxcpm_openai.cli import main
from voxcpm_openai.cli.memory import parts
from voxcpm_openai.runtime.device import memory
from voxcpm_openai.runtime.loading.published import MODELS
from voxcpm_openai.runtime.model.config import parse

GIB = 2**30


def check(*arguments: str, **settings: str) -> Result:
    environ = {f"VOXCPM_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ["check", *arguments], env=environ)


def slots(result: Result) -> dict[str, str]:
    """Return the number of slots of each card that was printed."""
    assert result.exit_code == 0, result.output
    return dict(re.findall(r"^  (\S.*?)  +([\d,]+|none)   [\d.]+ ", result.output, re.MULTILINE))


@pytest.mark.parametrize("name", ["VoxCPM2", "openbmb/VoxCPM2"])
def test_a_published_model_needs_no_files(name: str) -> None:
    result = check("--model", name)
    assert result.output.startswith("VoxCPM2 in bfloat16, slots of 1024 positions")
    assert slots(result) == {
        "8 GB": "none", "16 GB": "142", "24 GB": "305", "48 GB": "794", "80 GB": "1,445",
    }  # fmt: skip
    assert re.search(r"^  weights +4,821\.1 MiB$", result.output, re.MULTILINE)


def test_without_a_name_the_model_of_the_settings_is_meant() -> None:
    result = check("--model", model="openbmb/VoxCPM-0.5B", dtype="float32", max_streams="100")
    assert result.output.startswith("VoxCPM-0.5B in float32, slots of 1024 positions")
    assert "with at most 100 slots" in result.output


def test_a_folder_has_its_own_configuration(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("voxcpm15")
    result = check("--model", str(folder))
    assert result.output.startswith(f"{folder} in bfloat16, slots of 256 positions")
    assert int(slots(result)["8 GB"].replace(",", "")) > 300


@pytest.mark.parametrize("name", ["nonsense", "./nowhere", "somebody/something"])
def test_an_unknown_model_is_one_message(name: str) -> None:
    result = check("--model", name)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: '{name}' is no folder, no checkpoint that was pulled, and none of VoxCPM-0.5B, "
        "VoxCPM1.5, VoxCPM2.\n"
    )


def test_a_folder_without_a_configuration_is_one_message(tmp_path: Path) -> None:
    result = check("--model", str(tmp_path))
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path} has no config.json.\n"


def test_the_gpu_of_this_machine_is_a_line_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []

    def mem_get_info(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return 20 * GIB, 24 * GIB

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA {device.index}")
    shown = slots(check("--model", "VoxCPM2", device="cuda:1"))
    assert asked == [torch.device("cuda", 1)]
    assert "NVIDIA None, as it is now" in slots(check("--model", "VoxCPM2", device="cpu"))
    assert len(slots(check("--model", "VoxCPM2", device="cuda:2"))) == 5, "there is no such GPU"
    config = parse(dict(MODELS[2].config))
    predicted = memory.model_memory(config, torch.bfloat16, 1024)
    expected = predicted.slots(20 * GIB - predicted.weights)
    assert shown["NVIDIA 1, as it is now"] == str(expected)
    assert (
        predicted.needed(expected) <= 20 * GIB - predicted.weights < predicted.needed(expected + 1)
    )


def test_the_parts_are_all_that_a_card_needs() -> None:
    config = parse(dict(MODELS[1].config))
    predicted = memory.model_memory(config, torch.bfloat16, 1024)
    sizes = [size for _, size, _ in parts(predicted)]
    assert sum(sizes) == memory.CONTEXT_BYTES + predicted.weights + predicted.needed(1)
