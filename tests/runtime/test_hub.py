"""Finding and downloading a checkpoint's files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest
from click.testing import CliRunner

from voxcpm_openai.cli import main
from voxcpm_openai.runtime.errors import HubError
from voxcpm_openai.runtime.loading import hub
from voxcpm_openai.testing.tiny_checkpoints import KINDS


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(folder: Path, source: Path, *without: str) -> Path:
    """Copy a checkpoint, but for some of its files."""
    ignore = shutil.ignore_patterns(*without) if without else None
    return Path(shutil.copytree(source, folder, ignore=ignore))


def snapshot_of(cache: Path) -> Path:
    """Return where the hub's library keeps the files of VoxCPM1.5, not yet made."""
    repo = cache / "models--openbmb--VoxCPM1.5"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    (repo / "snapshots").mkdir()
    return repo / "snapshots" / "abc"


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_returned_unchanged(checkpoint: Callable[[str], Path], kind: str) -> None:
    """Also with `pytorch_model.bin` and `audiovae.pth`."""
    assert hub.find(str(checkpoint(kind))) == checkpoint(kind)


FILES = [
    ("voxcpm15", "config.json"),
    ("voxcpm15", "tokenizer.json"),
    ("voxcpm15", "model.safetensors"),
    ("voxcpm15", "audiovae.safetensors"),
    ("voxcpm05b", "pytorch_model.bin"),
    ("voxcpm05b", "audiovae.pth"),
]


@pytest.mark.parametrize(("kind", "name"), FILES)
@pytest.mark.parametrize("downloaded", [True, False], ids=["hub", "folder"])
def test_a_checkpoint_without_all_files_is_not_found(
    checkpoint: Callable[[str], Path],
    empty_cache: Path,
    tmp_path: Path,
    kind: str,
    name: str,
    downloaded: bool,
) -> None:
    """A download that was cut off: in `auto`, another engine is chosen."""
    folder = snapshot_of(empty_cache) if downloaded else tmp_path / "mine"
    fill(folder, checkpoint(kind), name)
    with pytest.raises(HubError, match=rf"{name}\b.* is missing") as caught:
        hub.find("openbmb/VoxCPM1.5" if downloaded else str(folder))
    assert ("pull openbmb/VoxCPM1.5` resumes" in str(caught.value)) is downloaded


@pytest.mark.parametrize(("kind", "name"), FILES[2:])
@pytest.mark.parametrize(
    "content",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:9],
    ],
    ids=["empty", "one byte less", "half", "a few bytes"],
)
def test_a_file_that_was_cut_off_is_named(
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    kind: str,
    name: str,
    content: Callable[[bytes], bytes],
) -> None:
    folder = fill(tmp_path / "mine", checkpoint(kind))
    (folder / name).write_bytes(content((folder / name).read_bytes()))
    with pytest.raises(HubError, match=rf"{name} is (cut off|empty|not a safetensors file)"):
        hub.find(str(folder))


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\2\0\0\0\0\0\0\0[]",
        b"\2" + bytes(7) + b"{}x",
    ],
    ids=["a pointer of Git LFS", "no object", "too long"],
)
def test_what_is_no_safetensors_file_is_named(
    checkpoint: Callable[[str], Path], tmp_path: Path, content: bytes
) -> None:
    folder = fill(tmp_path / "mine", checkpoint("voxcpm2"))
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(HubError, match=r"safetensors is (a pointer|longer|not a safetensors)"):
        hub.find(str(folder))


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere", "~/nowhere", "nowhere"])
def test_a_missing_folder_is_an_error(model: str) -> None:
    with pytest.raises(HubError, match="there is no such folder"):
        hub.find(model)


def test_an_id_that_is_not_downloaded_explains_how_to_get_it() -> None:
    with pytest.raises(HubError) as caught:
        hub.find("openbmb/VoxCPM1.5")
    assert "voxcpm-openai pull openbmb/VoxCPM1.5" in str(caught.value)
    assert "VOXCPM_MODEL" in str(caught.value)


def test_a_downloaded_id_is_found_offline(
    checkpoint: Callable[[str], Path], empty_cache: Path
) -> None:
    snapshot = fill(snapshot_of(empty_cache), checkpoint("voxcpm15"))
    assert hub.find("openbmb/VoxCPM1.5") == snapshot


def test_an_unreachable_hub_names_a_folder_to_fill_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    result = CliRunner().invoke(main, ["pull", "openbmb/VoxCPM2"])
    assert result.exit_code == 1
    assert "no route to the hub" in result.output
    assert "VOXCPM_MODEL=" in result.output
    assert "audiovae.pth" in result.output


def test_pull_prints_the_folder(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Callable[[str], Path]
) -> None:
    requested: list[str] = []

    def download(model: str, **_: object) -> str:
        requested.append(model)
        return str(checkpoint("voxcpm15"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    result = CliRunner().invoke(main, ["pull"])
    assert result.output.strip() == str(checkpoint("voxcpm15"))
    assert requested == ["openbmb/VoxCPM1.5"]


def test_pulling_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="is a folder"):
        hub.pull(str(tmp_path))
