"""The folder of the metrics: merged counters of ended workers, and removal of stale folders."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from voxcpm_openai.errors import SettingsError
from voxcpm_openai.metrics import folder as module
from voxcpm_openai.metrics.folder import PREFIX, VARIABLE, MetricsFolder, read_lock, shared_folder

KEY = mmap_key("hits", "hits_total", [], [], "Hits.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsFolder]:
    monkeypatch.delenv(VARIABLE, raising=False)
    made = MetricsFolder(tmp_path)
    yield made
    made.remove()


def write(folder: MetricsFolder, name: str, value: float) -> Path:
    file = folder.path / name
    values = MmapedDict(str(file))
    values.write_value(KEY, value, 0.0)
    values.close()
    return file


def counted(folder: MetricsFolder) -> float:
    values = MmapedDict.read_all_values_from_file(str(folder.path / "counter_0.db"))
    return {key: value for key, value, _, _ in values}[KEY]


def test_the_counters_of_ended_workers_are_merged_and_their_gauges_removed(
    folder: MetricsFolder,
) -> None:
    for pid, hits in ((7, 3), (8, 4)):
        write(folder, f"counter_{pid}.db", hits)
        write(folder, f"gauge_livesum_{pid}.db", 1)
        folder.mark_process_dead(pid)
    assert counted(folder) == 7
    assert [file.name for file in folder.path.glob("*.db")] == ["counter_0.db"]


def test_a_file_of_a_killed_worker_that_cannot_be_read_is_dropped(folder: MetricsFolder) -> None:
    (folder.path / "counter_7.db").write_bytes(b"\xff\x00\x00\x00" * 9)
    (folder.path / "histogram_7.db").write_bytes(b"")
    folder.mark_process_dead(7)
    write(folder, "counter_8.db", 2)
    folder.mark_process_dead(8)
    assert counted(folder) == 2


def test_a_merge_that_times_out_on_the_lock_is_done_later(
    folder: MetricsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 0.0)
    file, gauge = (write(folder, f"{name}_7.db", 3) for name in ("counter", "gauge_liveall"))
    with read_lock(folder.path):
        folder.mark_process_dead(7)
        assert (file.exists(), gauge.exists()) == (True, False)
    folder.mark_process_dead(8)
    assert counted(folder) == 3


def test_only_folders_without_a_live_process_are_removed(
    tmp_path: Path, folder: MetricsFolder
) -> None:
    (left := tmp_path / f"{PREFIX}left").mkdir()
    (left / "alive").touch()
    (foreign := tmp_path / f"{PREFIX}foreign").mkdir()  # not one of ours
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "alive").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    MetricsFolder(tmp_path).remove()
    assert not left.exists()
    assert folder.path.exists()
    assert foreign.exists()
    assert (elsewhere / "alive").exists()


def test_a_process_uses_the_folder_of_its_server_only(
    tmp_path: Path, folder: MetricsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.environ[VARIABLE] == str(folder.path)
    assert shared_folder() == folder.path
    folder.remove()
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert shared_folder() is None


def test_a_folder_that_cannot_be_made_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="the metrics of the workers need a writable folder"):
        MetricsFolder(Path("/proc/self/fdinfo"))


def test_the_handle_of_a_running_server_is_locked(folder: MetricsFolder) -> None:
    with (folder.path / "alive").open() as alive, pytest.raises(BlockingIOError):
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
