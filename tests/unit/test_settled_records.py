"""A record folder is scanned once while it is unchanged, and again after a change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from voxcpm_openai.voices.store.data_folder import Consent
from voxcpm_openai.voices.store.records import RecordFolder


def opened(folder: Path) -> RecordFolder[Consent]:
    return RecordFolder(folder, Consent, file="consent.json", content="recording.flac")


def consent(number: int) -> Consent:
    return Consent(id=f"cons_{number}", name="Jane", created_at=number, language="en")


def age(folder: Path, seconds: float) -> None:
    """Set the last change of a folder to ``seconds`` ago."""
    moment = time.time_ns() - int(seconds * 1e9)
    os.utime(folder, ns=(moment, moment))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "consents"
    folder.mkdir()
    opened(folder).put(consent(1), b"")
    age(folder, 60)
    return folder


def test_a_record_of_another_process_is_found_in_an_already_scanned_folder(folder: Path) -> None:
    records = opened(folder)
    assert list(records.all()) == ["cons_1"]
    opened(folder).put(consent(2), b"")
    age(folder, 30)  # unchanged again, but with another modification time
    assert list(records.all()) == ["cons_1", "cons_2"]


@pytest.mark.parametrize(("seconds", "expected_scans"), [(1.0, 3), (10.0, 1)])
def test_a_scan_is_reused_once_the_last_change_is_two_seconds_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, expected_scans: int
) -> None:
    records, scans = opened(folder), []
    scan = records._scan
    monkeypatch.setattr(records, "_scan", lambda: scans.append("scan") or scan())
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    moment = now - int(seconds * 1e9)
    os.utime(folder, ns=(moment, moment))
    for _ in range(3):
        records.all()
    assert len(scans) == expected_scans


@pytest.mark.parametrize("action", ["put", "replace"])
def test_a_failed_write_raises_and_leaves_no_temporary_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    records = opened(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        records.put(consent(2), b"") if action == "put" else records.replace(consent(1))
    assert [path.name for path in folder.iterdir()] == ["cons_1"]
    assert list(records.all()) == ["cons_1"]


def test_records_are_sorted_by_creation_time_and_then_by_id(
    tmp_path: Path,
) -> None:
    records = opened(tmp_path)
    for id_, moment in (("cons_b", 2), ("cons_a", 2), ("cons_z", 1)):
        records.put(Consent(id=id_, name="Jane", created_at=moment, language="en"), b"")
    assert list(records.all()) == ["cons_z", "cons_a", "cons_b"]
