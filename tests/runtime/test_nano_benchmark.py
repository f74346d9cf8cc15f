"""nano-vllm-voxcpm beside ours: a small package of its shape speaks in its place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import checkpoints
from benchmarks.on_gpu import nano, nano_process, peer
from benchmarks.on_gpu.bench import CFG, STEPS, TINY, Bench
from tests.runtime import tiny

PACKAGE = '''
"""Speaks in steps of no time, and keeps a diary."""
import os, pathlib, types
import flash_attn, librosa
flash_attn.flash_attn_func, flash_attn.flash_attn_varlen_func, flash_attn.flash_attn_with_kvcache
print("this is no answer")
DIARY = pathlib.Path(os.environ["NANO_DIARY"])

class VoxCPMServerImpl:
    def __init__(self, folder, **options):
        with DIARY.open("a") as diary:
            print(sorted(os.listdir(folder)), options, file=diary)
        self.llm = types.SimpleNamespace(tokenizer=lambda text: ["_", *text])
        self.left = {}
    def add_request(self, name, text, *, max_generate_length, cfg_value):
        self.left[name] = max_generate_length - int(os.environ.get("NANO_STOPS_EARLY", 0))
    def is_finished(self):
        return not self.left
    def step(self):
        sound = types.SimpleNamespace(generated_waveforms=[[0.5]])
        stepped = [types.SimpleNamespace(seq_id=name, custom_payload=sound) for name in self.left]
        self.left = {name: left - 1 for name, left in self.left.items() if left > 1}
        return stepped
'''
"""As far as ``nano_process`` looks into it."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench("cpu", replace(TINY, repeats=2, spoken=4), tmp_path)
    yield bench
    bench.dismiss()


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the package in the place of the real one; a line for each time that it is loaded."""
    folder = tmp_path / "site" / "nanovllm_voxcpm" / "models" / "voxcpm"
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(PACKAGE)
    (tmp_path / "site" / "librosa.py").touch()  # as where it is installed
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("NANO_DIARY", str(tmp_path / "diary"))
    return tmp_path / "diary"


def test_both_sides_speak_as_much_and_stay_for_the_next_row(bench: Bench, diary: Path) -> None:
    rows = [nano.measure(bench, "1.5", streams, 3) for streams in (1, 3)]
    (loaded,) = diary.read_text().splitlines()
    assert "'max_num_seqs': 3, 'max_model_len': 256" in loaded
    assert f"'inference_timesteps': {STEPS}" in loaded
    for row, streams in zip(rows, (1, 3), strict=True):
        assert (row.streams, row.patches, row.attention) == (streams, 4, "torch SDPA")
        assert 0 < row.worst <= row.ratio
        assert 0 < row.nano_first_p50_ms <= row.nano_first_p90_ms
        assert 0 < row.ours_first_p50_ms <= row.ours_first_p90_ms
        assert min(row.ours_rtf, row.ours_rest_rtf, row.ours_audio_per_second) > 0
        assert row.bar is None


def test_an_utterance_that_ends_early_is_an_error(
    bench: Bench,
    diary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NANO_STOPS_EARLY", "1")
    with pytest.raises(RuntimeError, match="has ended, or took"):
        nano.measure(bench, "1.5", 2, 2)
    assert "a stream ended after 3 patches and not after 4" in capfd.readouterr().err


def test_our_own_utterance_that_ends_early_is_an_error(
    bench: Bench, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = nano.Contest(bench, "1.5", 1)
    try:
        contest.ours(1)
        monkeypatch.setattr(contest, "_patches", 8)
        with pytest.raises(RuntimeError, match=r"a stream of 0\.64 s and not of 1\.28 s"):
            contest.ours(1)
    finally:
        contest.close()


def test_a_package_that_cannot_be_loaded_is_told(bench: Bench, diary: Path) -> None:
    (diary.parent / "site" / "nanovllm_voxcpm" / "models" / "voxcpm" / "server.py").unlink()
    with pytest.raises(RuntimeError, match="has ended"):
        nano.measure(bench, "1.5", 1, 1)


def test_a_package_that_hangs_is_ended(
    bench: Bench, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (diary.parent / "site" / "librosa.py").write_text("import threading\nthreading.Event().wait()")
    monkeypatch.setattr(peer, "START_SECONDS", 0.1)
    with pytest.raises(RuntimeError, match="or took more than 0 s"):
        nano.measure(bench, "1.5", 1, 1)


def test_another_tokenizer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = {"tokens": 58, "attention": "", "seconds": 1.0}
    monkeypatch.setattr(peer.Peer, "_answer", lambda *_: ready)
    with pytest.raises(RuntimeError, match="58 tokens where we read 60"):
        object.__new__(peer.Peer).wait_ready()


def test_rounds_are_summed_up() -> None:
    rounds = [peer.Round([1.0, 2.0], [5.0, 8.0]), peer.Round([1.0, 1.0], [4.0, 4.0])]
    figures = nano.Figures.of(rounds, patches=5, patch_seconds=0.5)
    assert figures.first_p50_ms == 1000
    assert figures.rtf == pytest.approx(4.5 / 2.5)
    assert figures.rest_rtf == pytest.approx(3.5 / 2.0)  # of 4, 6, 3, 3
    assert figures.audio_per_second == pytest.approx((5 / 8 + 5 / 4) / 2)


class Engine:
    """Steps two requests at a time."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.left: dict[str, int] = {}
        self.sound = 0.5

    def add_request(self, name: str, text: str, **options: Any) -> None:
        assert text == checkpoints.TEXT
        self.asked.append(options)
        self.left[name] = options["max_generate_length"]

    def is_finished(self) -> bool:
        return not self.left

    def step(self) -> list[Any]:
        names = list(self.left)[:2]
        for name in names:
            self.left[name] -= 1
            if not self.left[name]:
                del self.left[name]
        payload = SimpleNamespace(generated_waveforms=[[0.1], [self.sound]])
        return [SimpleNamespace(seq_id=name, custom_payload=payload) for name in names]


def test_each_stream_is_told_its_first_and_its_last_patch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(nano_process.time, "perf_counter", lambda: float(next(clock)))
    engine = Engine()
    spoken = nano_process.speak(engine, streams=3, patches=2)
    assert engine.asked == [{"max_generate_length": 2, "cfg_value": CFG}] * 3
    assert (spoken.firsts, spoken.totals) == ([1, 1, 3], [2, 2, 4])


def test_what_is_no_sound_is_an_error() -> None:
    engine = Engine()
    engine.sound = float("nan")
    with pytest.raises(RuntimeError, match="not finite"):
        nano_process.speak(engine, streams=1, patches=2)


def test_orders_are_answered_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [json.dumps({"streams": streams, "patches": 2}) for streams in (1, 2)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(orders)))
    answers: list[str] = []
    ready = nano_process.Ready("torch SDPA", 60, 1.0)
    nano_process.serve(Engine(), ready, answers.append)
    first, *rest = map(json.loads, answers)
    assert first == {"attention": "torch SDPA", "tokens": 60, "seconds": 1.0}
    assert [len(answer["firsts"]) for answer in rest] == [1, 2]


@pytest.mark.parametrize("model", ["1.5", "2"])
def test_the_package_finds_its_files_and_all_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    kind = checkpoints.KINDS[model]
    monkeypatch.setattr(checkpoints, "make_config", lambda _: tiny.make_config(kind))
    home = checkpoints.make(tmp_path, model, dtype=torch.bfloat16)
    folder = peer.folder_for(home)
    assert peer.folder_for(home) == folder != home
    files = {path.name for path in folder.iterdir()}
    assert files == {*peer.LINKED, "audiovae.pth"}, "each .safetensors is taken for the model"
    tensors = torch.load(folder / "audiovae.pth")["state_dict"]
    whole = load_file(tiny.make(tmp_path / "whole", kind) / "audiovae.safetensors")
    assert {name: part.shape for name, part in tensors.items()} == {
        name: part.shape for name, part in whole.items()
    }
    languages = load_file(folder / "model.safetensors")
    assert {part.dtype for part in languages.values()} == {torch.bfloat16}
    assert not languages["stop_head.weight"].any()


def test_without_a_gpu_it_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano, "NEEDED", ("torch", "no_such_package"))
    assert nano.missing(bench) == ["no_such_package", "an NVIDIA GPU"]
