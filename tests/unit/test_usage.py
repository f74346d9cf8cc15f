"""The recorder and the store of usage: batches, several processes, and files that fail."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import ROOT
from voxcpm_openai.accounts import usage_store
from voxcpm_openai.accounts.usage import MAX_PENDING, UsageRecorder
from voxcpm_openai.accounts.usage_store import HOUR, RETENTION_DAYS, Amounts, Slot, UsageStore

NOW = int(time.time()) // HOUR * HOUR
ONE = Amounts(1, 10)
NEVER = 3600.0
"""Seconds until a recorder writes by itself."""


@pytest.fixture
def store(tmp_path: Path) -> UsageStore:
    return UsageStore(tmp_path / "data")


def total(store: UsageStore) -> Amounts:
    return sum((amounts for _, amounts in store.read(0, 2**40)), Amounts())


def test_usage_is_added_up_by_hour_key_and_model(store: UsageStore) -> None:
    assert store.read(0, 2**40) == []
    first, other = Slot(NOW, "jane", "tts-1"), Slot(NOW - HOUR, "jane", "tts-1")
    store.add({first: ONE, other: ONE})
    store.add({first: Amounts(2, 5)})
    assert dict(store.read(NOW, NOW + HOUR)) == {first: Amounts(3, 15)}
    assert total(UsageStore(store.path.parent)) == Amounts(4, 25)


def test_what_is_too_old_is_forgotten(store: UsageStore) -> None:
    day = 24 * HOUR
    old, kept = NOW - (RETENTION_DAYS + 1) * day, NOW - (RETENTION_DAYS - 1) * day
    store.add({Slot(old, "jane", "tts-1"): ONE, Slot(kept, "jane", "tts-1"): ONE})
    assert [slot.hour for slot, _ in store.read(0, 2**40)] == [kept]


def test_nobody_else_may_read_the_file(store: UsageStore) -> None:
    store.path.parent.mkdir()
    before = os.umask(0)
    try:
        store.add({Slot(NOW, "", "tts-1"): ONE})
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_opened(store: UsageStore, kind: str, tmp_path: Path) -> None:
    store.path.parent.mkdir()
    match kind:
        case "link":
            (tmp_path / "other").touch()
            store.path.symlink_to(tmp_path / "other")
        case "pipe":
            os.mkfifo(store.path)
        case "folder":
            store.path.mkdir()
    with pytest.raises(OSError, match=r"usage\.sqlite"):
        store.add({Slot(NOW, "", "tts-1"): ONE})
    with pytest.raises(OSError, match=r"usage\.sqlite"):
        store.read(0, NOW)


def test_processes_write_at_once_and_nothing_is_lost(store: UsageStore) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from voxcpm_openai.accounts.usage_store import Amounts, Slot, UsageStore\n"
        "store = UsageStore(Path(sys.argv[1]))\n"
        f"for _ in range(40): store.add({{Slot({NOW}, 'jane', 'tts-1'): Amounts(1, 10)}})\n"
    )
    command = [sys.executable, "-c", script, str(store.path.parent)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert total(store) == Amounts(120, 1200)


def test_a_recorder_writes_after_a_while_in_a_thread_of_its_own(store: UsageStore) -> None:
    written = threading.Event()

    class Watched(UsageStore):
        def add(self, usage: Mapping[Slot, Amounts]) -> None:
            assert threading.current_thread().name == "usage"
            super().add(usage)
            written.set()

    recorder = UsageRecorder(Watched(store.path.parent), interval=0.01)
    for _ in range(5):
        recorder.add("jane", "tts-1", ONE)
    assert written.wait(20)
    recorder.close()
    assert total(store) == Amounts(5, 50)


def test_what_waits_is_written_at_the_end_of_a_process(store: UsageStore) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from voxcpm_openai.accounts.usage import UsageRecorder\n"
        "from voxcpm_openai.accounts.usage_store import Amounts, UsageStore\n"
        "recorder = UsageRecorder(UsageStore(Path(sys.argv[1])), interval=3600)\n"
        "recorder.add('jane', 'tts-1', Amounts(1, 10))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(store.path.parent)], cwd=ROOT, check=True)
    assert total(store) == ONE


def _locked(store: UsageStore) -> Iterator[None]:
    store.add({})
    with sqlite3.connect(store.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.rollback()
    other.close()


def _full(store: UsageStore) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _no_folder(store: UsageStore) -> Iterator[None]:
    store.path.parent.write_text("a file in the place of the folder")
    yield
    store.path.parent.unlink()


@pytest.mark.parametrize("fault", [_locked, _full, _no_folder])
def test_what_cannot_be_written_waits_and_is_logged_once(
    store: UsageStore,
    fault: Callable[[UsageStore], Iterator[None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(usage_store, "BUSY_TIMEOUT", 0.01)
    recorder = UsageRecorder(store, NEVER)
    with contextmanager(fault)(store):
        for _ in range(3):
            recorder.add("jane", "tts-1", ONE)
            recorder.flush()
    assert recorder.failures == 3
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
    recorder.close()
    assert (total(store), recorder.lost) == (Amounts(3, 30), 0)


def test_what_waits_is_bounded(store: UsageStore) -> None:
    recorder = UsageRecorder(store, NEVER)
    for number in range(MAX_PENDING + 5):
        recorder.add(str(number), "tts-1", ONE)
    recorder.add("1", "tts-1", ONE)  # one that waits already
    assert recorder.lost == 5
    recorder.close()
    assert total(store).requests == MAX_PENDING + 1


def test_without_a_thread_nothing_fails(store: UsageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    recorder = UsageRecorder(store, NEVER)
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        recorder.add("jane", "tts-1", ONE)
    recorder.close()
    assert total(store) == ONE
