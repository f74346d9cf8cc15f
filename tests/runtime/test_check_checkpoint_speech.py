"""``tools/check_checkpoint.py`` speaks in each mode, and says what is wrong with the audio."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.runtime import published as folders
from tests.support.runtime.checkpoint_tool import run, tool
from voxcpm_openai.runtime.device import speech_sample
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.runner import ModelRunner
from voxcpm_openai.runtime.loading.published import MODELS
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

MODES = {
    "voxcpm05b": ["no clip", "prompt clip"],
    "voxcpm15": ["no clip", "prompt clip"],
    "voxcpm2": ["no clip", "prompt clip", "reference clip"],
}


@pytest.fixture
def speech_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Make models speak for as many seconds: random weights stop anywhere."""

    def set_seconds(seconds: float) -> None:
        begin, made = VoxCPM.begin, [0]

        def begin_anew(self: VoxCPM, *arguments: Any) -> Any:
            made[0] = 0
            return begin(self, *arguments)

        def stop_flags(self: VoxCPM, hidden: Tensor) -> Tensor:
            made[0] += 1
            stops = made[0] * self.patch_samples / self.sample_rate >= seconds
            return torch.full(hidden.shape[:-1], stops)

        monkeypatch.setattr(VoxCPM, "begin", begin_anew)
        monkeypatch.setattr(VoxCPM, "_stop_flags", stop_flags)

    return set_seconds


@pytest.mark.parametrize("kind", MODES)
def test_a_checkpoint_speaks_in_all_its_modes(
    checkpoint: Callable[[str], Path], speech_of: Callable[[float], None], kind: str
) -> None:
    speech_of(1.59)
    result = run(str(checkpoint(kind)))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("voxcpm-openai ")
    assert lines[-1] == "the checkpoint fits"
    spoken = [line for line in lines if "s of audio: " in line]
    assert [line[7:27].strip() for line in spoken] == MODES[kind]
    assert all(line.startswith("ok     ") and "1.6 s of audio" in line for line in spoken)
    assert ["clip " in line.partition(": ")[2] for line in spoken] == [
        mode != "no clip" for mode in MODES[kind]
    ]


def test_the_report_is_one_json_object(
    checkpoint: Callable[[str], Path], speech_of: Callable[[float], None]
) -> None:
    speech_of(1.59)
    folder = checkpoint("voxcpm2")
    result = run(str(folder), "--json", "--dtype", "bfloat16")
    report = json.loads(result.output)
    assert (result.exit_code, report["ok"], report["folder"]) == (0, True, str(folder))
    assert report["environment"]["torch"] == torch.__version__
    assert report["environment"]["dtype"] == "bfloat16"
    assert {finding["level"] for finding in report["findings"]} == {"ok", "note"}
    assert [sample["mode"] for sample in report["speech"]] == MODES["voxcpm2"]
    for sample in report["speech"]:
        assert (sample["finite"], sample["stopped"]) == (True, True)
        assert sample["seconds"] == pytest.approx(1.6)
        assert sample["patch_ms"] / 1000 == pytest.approx(
            sample["real_time_factor"] * sample["seconds"] / sample["patches"]
        )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(100.0, "it did not end by itself within 8."), (0.0, "it is too short: 0.6 s, about 2.7")],
)
def test_speech_of_another_length_is_wrong(
    checkpoint: Callable[[str], Path],
    speech_of: Callable[[float], None],
    seconds: float,
    text: str,
) -> None:
    speech_of(seconds)
    result = run(str(checkpoint("voxcpm15")))
    assert result.exit_code == 1
    assert result.output.count(f"  {text}") == 2
    assert result.output.endswith("it does not fit; wrong: 2\n")


@pytest.mark.parametrize(
    ("gain", "offset", "text"),
    [
        (0.0, 0.0, "it is silent (root mean square 0)"),
        (0.0, 20.0, "it is distorted: 100% of it is at the limit"),
        (1.0, torch.nan, "it has numbers that are not finite"),
    ],
)
def test_wrong_audio_is_described(
    checkpoint: Callable[[str], Path],
    speech_of: Callable[[float], None],
    tmp_path: Path,
    gain: float,
    offset: float,
    text: str,
) -> None:
    speech_of(1.59)
    folder = Path(shutil.copytree(checkpoint("voxcpm15"), tmp_path / "wrong"))
    tensors = load_file(folder / "audiovae.safetensors")
    last = "decoder.model.8"
    assert tensors[f"{last}.bias"].shape == (1,)
    tensors[f"{last}.weight_g"] *= gain
    tensors[f"{last}.bias"].fill_(offset)
    save_file(tensors, folder / "audiovae.safetensors")
    result = run(str(folder), "--json")
    report = json.loads(result.output)
    assert result.exit_code == 1
    wrong = [line["text"] for line in report["findings"] if line["level"] == "WRONG"]
    assert len(wrong) == 2
    assert all(line.startswith(text) for line in wrong)
    assert "Traceback" not in result.output


def test_without_memory_for_the_weights_nothing_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "available_bytes", lambda: 2.0 * 2**30)
    result = run(str(folders.make(tmp_path / "model", MODELS[2])))
    assert result.exit_code == 1
    assert "not loaded: it takes 8.9 GiB in float32, and 2.0 are free" in result.output


def test_a_device_that_is_not_there_is_a_line(checkpoint: Callable[[str], Path]) -> None:
    report = tool.Report(quiet=True)
    folder = checkpoint("voxcpm15")
    expected = tool.check_files(report, folder, torch.float32)
    tool.check_speech(report, folder, expected, "cuda:99", "float32")
    assert [line["what"] for line in report.findings if line["level"] == "WRONG"] == ["load"]


def test_files_that_do_not_fit_are_not_loaded(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert result.exit_code == 1
    assert "  load  " not in result.output
    assert result.output.endswith("it does not fit; wrong: 4\n")


def test_the_padded_batch_of_a_gpu_says_the_same(
    model: Callable[[str], VoxCPM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that only prefills has no patch; the others are those of a CPU."""

    def on_a_gpu(*arguments: Any, **options: Any) -> ModelRunner:
        return ModelRunner(*arguments, **{**options, "capture": enforce_eager})

    clip = tool.VOICES / f"{tool.CLIP}.flac"
    ours = model("voxcpm2")
    plain = speech_sample.Speaker(ours, clip, "Hello there.")
    monkeypatch.setattr(speech_sample, "ModelRunner", on_a_gpu)
    padded = speech_sample.Speaker(ours, clip, "Hello there.")
    for mode in plain.modes:
        one, other = plain.speak(mode), padded.speak(mode)
        assert (one.patches, one.stopped) == (other.patches, other.stopped)
        assert one.rms == pytest.approx(other.rms, rel=1e-3)


def test_torchs_old_format_speaks_or_is_a_line(
    checkpoint: Callable[[str], Path], speech_of: Callable[[float], None], tmp_path: Path
) -> None:
    speech_of(1.59)
    folder = Path(shutil.copytree(checkpoint("voxcpm05b"), tmp_path / "old"))
    content = torch.load(folder / "audiovae.pth", weights_only=True)
    torch.save(content, folder / "audiovae.pth", _use_new_zipfile_serialization=False)
    result = run(str(folder), "--json")
    report = json.loads(result.output)
    wrong = [line for line in report["findings"] if line["level"] == "WRONG"]
    assert report["ok"] == (not wrong)
    assert [line["what"] for line in wrong] in ([], ["load"])
    assert all("audiovae.pth" in line["text"] for line in wrong)
