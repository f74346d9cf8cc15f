"""The engine's benchmark measures both sides, and its checkpoints hold all that both ask for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import checkpoints, engine, long_text
from tests.runtime import tiny
from tests.runtime.oracle import Oracle
from voxcpm_openai.runtime.loader import load_model


def test_each_row_has_what_both_sides_need_and_their_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.make(tmp_path / "tiny", "voxcpm15")
    rows = engine.measure(folder, "1.5", [1, 3], steps=2, patches=4, repeats=1, dtype="float32")
    engine.print_table(rows)
    assert [row.streams for row in rows] == [1, 3]
    for row in map(asdict, rows):
        assert (row["model"], row["steps"], row["dtype"]) == ("1.5", 2, "float32")
        ours, upstream = row["ours"], row["upstream"]
        assert all(side[key] > 0 for side in (ours, upstream) for key in ("patch", "first"))
        assert row["ratio"] == pytest.approx(upstream["patch"] / ours["patch"])
        assert set(row["split"]) == {"base LM", "residual LM", "LocEnc", "LocDiT", "VAE", "rest"}
        json.dumps(row)
    assert "streams   s/patch: ours  upstream  ratio" in capsys.readouterr().out


@pytest.mark.parametrize(("model", "kind"), checkpoints.KINDS.items())
def test_a_checkpoint_made_of_a_configuration_holds_all_that_both_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, kind: str
) -> None:
    """With the small configuration of the tests in place of the true one."""
    monkeypatch.setattr(checkpoints, "make_config", lambda _: tiny.make_config(kind))
    folder = checkpoints.make(tmp_path, model)
    assert checkpoints.make(tmp_path, model) == folder  # made once
    ours = load_model(folder, "cpu", "float32")
    assert len(ours.tokens(checkpoints.TEXT)) == checkpoints.TOKENS
    made = load_file(folder / "model.safetensors")
    made |= {f"audio_vae.{k}": v for k, v in load_file(folder / "audiovae.safetensors").items()}
    wanted = Oracle(folder, kind).model.state_dict()
    missing = [name for name in wanted if name not in made]
    # What makes no sound, and what the configuration says as well.
    assert all("fc_logvar" in name or "sr_bin_boundaries" in name for name in missing)
    assert all(wanted[name].shape == tensor.shape for name, tensor in made.items())
    assert all(torch.isfinite(tensor).all() for tensor in made.values())


@pytest.mark.parametrize("model", checkpoints.KINDS)
def test_the_true_sizes_are_read_by_the_runtime(model: str) -> None:
    config = checkpoints.parser.parse(checkpoints.make_config(model))
    assert config.vocabulary == 73448
    assert config.base.layers == (28 if model == "2" else 24)
    assert config.patch * config.vae.frame_out / config.vae.sample_rate == (
        0.08 if model == "0.5B" else 0.16
    )


def test_a_long_text_is_measured_on_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.make(tmp_path / "tiny", "voxcpm15")
    said = "The first sentence is a little long. The second one is short."
    row = long_text.measure(folder, "1.5", dtype="float32", steps=2, repeats=1, said=said)
    long_text.print_row(row)
    assert row.segments == 2
    assert row.sound_seconds == pytest.approx(len(said) * long_text.SECONDS, rel=0.2)
    assert 0 < row.ours.first < row.ours.end
    assert row.end_ratio == pytest.approx(row.upstream.end / row.ours.end)
    assert "2 segments" in capsys.readouterr().out


def test_ours_alone_is_measured_and_silence_is_what_comes_too_late(tmp_path: Path) -> None:
    folder = tiny.make(tmp_path / "tiny", "voxcpm15")
    said = "The first sentence is a little long. The second one is short."
    (times,) = long_text.alone(folder, dtype="float32", steps=2, repeats=1, said=said)
    assert 0 < times.first < times.end
    # 1 s of sound is heard from 2 s on, the next comes at 4 s, the last in time.
    assert long_text.Times.of([(2.0, 1.0), (4.0, 3.0), (5.0, 1.0)]) == long_text.Times(
        2.0, 5.0, 1.0
    )


def test_the_benchmark_tells_how_far_a_smaller_dtype_leads_from_float32(tmp_path: Path) -> None:
    folder = tiny.make(tmp_path / "tiny", "voxcpm15")
    assert engine.error_of(folder, "float32", 2) == 0
    assert 0.001 < engine.error_of(folder, "bfloat16", 2) < 0.2
