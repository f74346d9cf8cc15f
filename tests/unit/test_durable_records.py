"""A record survives a power failure once the call that wrote it returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxcpm_openai.voices.store.data_folder import Consent
from voxcpm_openai.voices.store.records import RecordFolder

SOUND = bytes(range(256)) * 40
RECORD = Consent(id="cons_1", name="Jane", created_at=1, language="en")


class Disk:
    """Records each fsync and each rename, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, object]] = []
        self.synced: dict[int, int] = {}  # sizes by inode at the time of the sync
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, self._recording(getattr(os, name)))
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, descriptor: int) -> None:
        stat = os.fstat(descriptor)
        self.synced[stat.st_ino] = stat.st_size
        self.calls.append(("sync", stat.st_ino))

    def _recording(self, move):
        def recording(source: Path, target: Path) -> None:
            self.calls.append(("move", Path(target).name))
            move(source, target)

        return recording

    def before(self, inode: int, move: str) -> bool:
        """Return whether an inode was synced before a rename."""
        return self.calls.index(("sync", inode)) < self.calls.index(("move", move))


@pytest.fixture
def records(tmp_path: Path) -> RecordFolder[Consent]:
    folder = tmp_path / "consents"
    folder.mkdir()
    return RecordFolder(folder, Consent, file="consent.json", content="recording.flac")


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_a_new_record_is_synced_before_its_rename_and_its_folder_before_put_returns(
    records: RecordFolder[Consent], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    records.put(RECORD, SOUND)
    folder = records.folder / RECORD.id
    for file in (folder / "consent.json", folder / "recording.flac"):
        assert disk.synced[inode(file)] == file.stat().st_size, "synced before it was complete"
        assert disk.before(inode(file), RECORD.id)
    assert disk.before(inode(folder), RECORD.id)
    assert disk.calls[-1] == ("sync", inode(records.folder))


def test_new_values_are_synced_before_they_replace_the_old_ones(
    records: RecordFolder[Consent], monkeypatch: pytest.MonkeyPatch
) -> None:
    records.put(RECORD, SOUND)
    disk = Disk(monkeypatch)
    records.replace(RECORD)
    file = records.folder / RECORD.id / "consent.json"
    assert disk.synced[inode(file)] == file.stat().st_size
    assert disk.before(inode(file), "consent.json")
    assert disk.calls[-1] == ("sync", inode(file.parent))


def test_a_removal_is_synced_before_remove_returns(
    records: RecordFolder[Consent], monkeypatch: pytest.MonkeyPatch
) -> None:
    records.put(RECORD, SOUND)
    disk = Disk(monkeypatch)
    records.remove(RECORD.id)
    assert [call for call in disk.calls if call[0] == "sync"] == [("sync", inode(records.folder))]
