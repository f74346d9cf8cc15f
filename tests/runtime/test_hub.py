"""Finding and downloading a checkpoint's files."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest
from click.testing import CliRunner

from voxcpm_openai.cli import main
from voxcpm_openai.runtime.errors import HubError
from voxcpm_openai.runtime.loading import hub


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_folder_is_returned_unchanged(tmp_path: Path) -> None:
    assert hub.find(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere", "~/nowhere", "nowhere"])
def test_a_missing_folder_is_an_error(model: str) -> None:
    with pytest.raises(HubError, match="there is no such folder"):
        hub.find(model)


def test_an_id_that_is_not_downloaded_explains_how_to_get_it() -> None:
    with pytest.raises(HubError) as caught:
        hub.find("openbmb/VoxCPM1.5")
    assert "voxcpm-openai pull openbmb/VoxCPM1.5" in str(caught.value)
    assert "VOXCPM_MODEL" in str(caught.value)


def test_a_downloaded_id_is_found_offline(empty_cache: Path) -> None:
    repo = empty_cache / "models--openbmb--VoxCPM1.5"
    snapshot = repo / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
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


def test_pull_prints_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requested: list[str] = []

    def download(model: str, **_: object) -> str:
        requested.append(model)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    result = CliRunner().invoke(main, ["pull"])
    assert result.output.strip() == str(tmp_path)
    assert requested == ["openbmb/VoxCPM1.5"]


def test_pulling_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="is a folder"):
        hub.pull(str(tmp_path))
