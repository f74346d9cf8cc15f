"""The benchmarks of models run as commands, on a CPU with tiny weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.benchmarks import rows_of
from tests.support.runtime.cpu import needs_int8
from tests.support.runtime.oracle import Oracle
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.testing import checkpoints, tiny_checkpoints

SMALL = ("--size", "tiny", "--steps", "2", "--repeats", "1")


def test_the_engine_benchmark_measures_both_sides_and_their_ratio(tmp_path: Path) -> None:
    options = (*SMALL, "--streams", "1,3", "--patches", "4", "--dtype", "bfloat16")
    rows, printed = rows_of(tmp_path, "benchmarks/engine.py", *options)
    assert [row["streams"] for row in rows] == [1, 3]
    for row in rows:
        assert (row["model"], row["steps"], row["dtype"]) == ("1.5", 2, "bfloat16")
        assert row["patch_ratio"] == pytest.approx(row["upstream_patch"] / row["ours_patch"])
        assert 0 < row["patch_worst"] <= row["patch_ratio"] * (1 + 1e-9)
        assert min(row["ours_first"], row["base_ms"], row["vae_ms"], row["ours_audio"]) > 0
        assert 0.001 < row["error"] < 0.2, "of bfloat16 against float32"
    assert "patch_ratio" in printed


def test_the_engine_benchmark_ends_beside_a_busy_process(tmp_path: Path) -> None:
    options = (*SMALL, "--streams", "1", "--patches", "4", "--beside", "1")
    (row,), _ = rows_of(tmp_path, "benchmarks/engine.py", *options)
    assert min(row["ours_patch"], row["beside"], row["loss"]) > 0


def test_the_long_text_benchmark_measures_both_sides(tmp_path: Path) -> None:
    (ours, upstream, ratio), printed = rows_of(tmp_path, "benchmarks/long_text.py", *SMALL)
    assert 0 < ours["first"] < ours["end"]
    assert ours["audio"] == pytest.approx(61 * 0.065, rel=0.2)
    assert ratio["end"] == pytest.approx(upstream["end"] / ours["end"])
    assert "61 characters in 2 segments" in printed


def test_the_long_text_benchmark_measures_ours_alone(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path, "benchmarks/long_text.py", *SMALL, "--alone")
    assert [row["side"] for row in rows] == ["ours, float32"]
    assert 0 < rows[0]["first"] < rows[0]["end"]


@needs_int8
def test_the_start_benchmark_measures_a_first_start_later_ones_and_upstreams(
    tmp_path: Path,
) -> None:
    rows, printed = rows_of(tmp_path, "benchmarks/start.py", "--size", "tiny", "--repeats", "1")
    assert [row["start"] for row in rows] == ["int8, first", "int8, later", "upstream, bfloat16"]
    assert all(min(row["imports"], row["engine"]) > 0 for row in rows)
    assert rows[2]["ratio"] == pytest.approx(rows[2]["engine"] / rows[1]["engine"])
    assert "ratio" in printed


@pytest.mark.parametrize(("model", "kind"), checkpoints.KINDS.items())
def test_a_random_checkpoint_has_all_tensors_that_both_sides_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, kind: str
) -> None:
    """Of the sizes of the tiny one."""
    monkeypatch.setattr(checkpoints, "make_config", lambda _: tiny_checkpoints.make_config(kind))
    folder = checkpoints.make(tmp_path, model)
    assert checkpoints.make(tmp_path, model) == folder, "it is made once"
    ours = load_model(folder, "cpu", "float32")
    assert len(ours.tokens(checkpoints.TEXT)) == checkpoints.TOKENS
    made = load_file(folder / "model.safetensors")
    made |= {f"audio_vae.{k}": v for k, v in load_file(folder / "audiovae.safetensors").items()}
    wanted = Oracle(folder, kind).model.state_dict()
    missing = [name for name in wanted if name not in made]
    # Not used, and what the configuration contains too.
    assert all("fc_logvar" in name or "sr_bin_boundaries" in name for name in missing)
    assert all(wanted[name].shape == tensor.shape for name, tensor in made.items())
    assert all(tensor.isfinite().all() for tensor in made.values())


@pytest.mark.parametrize("model", checkpoints.KINDS)
def test_the_true_sizes_are_those_of_the_published_models(model: str) -> None:
    config = checkpoints.parser.parse(checkpoints.make_config(model))
    assert config.vocab_size == 73448
    assert config.base.num_layers == (28 if model == "2" else 24)
    assert config.patch_size * config.vae.decoder_hop / config.vae.sample_rate == (
        0.08 if model == "0.5B" else 0.16
    )
