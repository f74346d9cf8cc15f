"""The files of cached speech: atomic, bounded, shared; an error of the disk fails no request."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

from voxcpm_openai.cache import store as module
from voxcpm_openai.cache.store import BLOCK, STALE, SpeechStore

LIMIT = 1_000_000
ENTRY = 10_000  # 12 kB on disk


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "cache" / "speech"
    yield folder
    if folder.exists():
        folder.chmod(0o700)


def read(store: SpeechStore, name: str) -> bytes | None:
    stored = store.get(name)
    if stored is None:
        return None
    with closing(stored):
        return b"".join(stored)


def used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.glob("*.speech"))


def test_an_entry_is_read_in_blocks_with_its_duration(folder: Path) -> None:
    store = SpeechStore(folder, LIMIT)
    parts = [os.urandom(size) for size in (1, 0, BLOCK, 1000)]
    assert store.put("a", parts, 1.25)
    stored = store.get("a")
    assert stored is not None
    with closing(stored):
        assert stored.seconds == 1.25
        blocks = list(stored)
    assert b"".join(blocks) == b"".join(parts)
    assert max(map(len, blocks)) == BLOCK
    assert list(stored) == []
    assert store.get("b") is None
    assert folder.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("workers", [1, 4])
def test_the_workers_together_never_exceed_the_limit(folder: Path, workers: int) -> None:
    stores = [SpeechStore(folder, LIMIT, workers) for _ in range(2 * workers)]  # at a reload
    for number in range(300):
        stores[number * 7 % len(stores)].put(f"{number}", [os.urandom(ENTRY)], 1.0)
        assert used(folder) <= LIMIT
    assert used(folder) >= 0.7 * LIMIT


def test_concurrent_workers_keep_the_limit(folder: Path) -> None:
    stores = [SpeechStore(folder, LIMIT, 4) for _ in range(4)]

    def work(number: int) -> None:
        for entry in range(60):
            stores[number].put(f"{number}-{entry}", [os.urandom(ENTRY)], 1.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert used(folder) <= LIMIT


def test_least_recently_used_entries_are_evicted_first(folder: Path) -> None:
    store = SpeechStore(folder, LIMIT)
    for number in range(40):
        store.put(f"{number}", [bytes(ENTRY)], 1.0)
        os.utime(folder / f"{number}.speech", (number, number))
    assert read(store, "0") is not None  # used now
    for number in range(40, 80):
        store.put(f"{number}", [bytes(ENTRY)], 1.0)
    assert read(store, "0") is not None
    assert read(store, "1") is None
    assert read(store, "79") is not None


def test_an_entry_that_is_too_large_is_not_stored(folder: Path) -> None:
    store = SpeechStore(folder, LIMIT)
    assert not store.put("a", [bytes(store.max_entry + 1)], 1.0)
    assert store.put("b", [bytes(store.max_entry)], 1.0)


def damaged(content: bytes) -> dict[str, bytes]:
    body = content.index(b"\n") + 1
    return {
        "empty": b"",
        "half": content[: len(content) // 2],
        "head only": content[:body],
        "no line": content[:20],
        "longer": content + b"x",
        "one bit": content[:-1] + bytes([content[-1] ^ 1]),
        "another head": b"x" + content,
        "no numbers": b"voxcpm-speech 1 [null, {}, []]\n" + content[body:],
        "one number": b"voxcpm-speech 1 7\n" + content[body:],
        "no json": b"voxcpm-speech 1 \xff\n" + content[body:],
        "zeros": bytes(len(content)),
    }


@pytest.mark.parametrize("how", damaged(b"\n"))
def test_a_corrupt_entry_is_deleted(
    folder: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = SpeechStore(folder, LIMIT)
    store.put("a", [b"audio" * 100], 1.0)
    path = folder / "a.speech"
    path.write_bytes(damaged(path.read_bytes())[how])
    assert store.get("a") is None
    assert not path.exists()
    assert "is deleted" in caplog.text
    assert store.put("a", [b"audio"], 1.0)
    assert read(store, "a") == b"audio"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_read(folder: Path, tmp_path: Path, kind: str) -> None:
    store = SpeechStore(folder, LIMIT)
    store.put("b", [b"audio"], 1.0)
    path = folder / "a.speech"
    if kind == "link":
        path.symlink_to(folder / "b.speech")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert store.get("a") is None


def test_an_open_entry_stays_readable_after_its_deletion(folder: Path) -> None:
    store = SpeechStore(folder, LIMIT)
    content = os.urandom(3 * BLOCK)
    store.put("a", [content], 1.0)
    stored = store.get("a")
    assert stored is not None
    with closing(stored):
        first = next(stored)
        (folder / "a.speech").unlink()
        assert first + b"".join(stored) == content


def test_a_full_disk_is_logged_once_and_leaves_no_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = SpeechStore(folder, LIMIT)
    full = True
    open_ = Path.open

    class Full:
        def __init__(self, file: IO[bytes]) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(path: Path, mode: str = "r") -> object:
        file: IO[bytes] = open_(path, mode)
        return Full(file) if full and path.suffix == ".part" else file

    monkeypatch.setattr(Path, "open", opened)
    assert not store.put("a", [b"audio"], 1.0)
    assert not store.put("a", [b"audio"], 1.0)
    assert list(folder.iterdir()) == []
    assert caplog.text.count("No space left on device") == 1
    full = False
    assert store.put("a", [b"audio"], 1.0)
    assert read(store, "a") == b"audio"


def test_a_folder_that_cannot_be_made_fails_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    store = SpeechStore(tmp_path / "file" / "speech", LIMIT)
    assert store.get("a") is None
    assert not store.put("a", [b"audio"], 1.0)
    assert "speech cannot be cached" in caplog.text


def test_a_read_only_folder_is_still_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SpeechStore(folder, LIMIT)
    store.put("a", [b"audio"], 1.0)
    store.put("b", [b"audio"], 1.0)
    (folder / "b.speech").write_bytes(b"broken")

    def refuse(*_: object, **__: object) -> None:  # root may write everywhere
        raise OSError(errno.EROFS, "Read-only file system")

    for place, name in ((os, "utime"), (Path, "open"), (Path, "unlink"), (Path, "mkdir")):
        monkeypatch.setattr(place, name, refuse)
    assert read(store, "a") == b"audio"
    assert store.get("b") is None
    assert not store.put("c", [b"audio"], 1.0)


def test_stale_unfinished_files_of_killed_workers_are_deleted(folder: Path) -> None:
    store = SpeechStore(folder, LIMIT)
    store.put("a", [b"audio"], 1.0)
    old, new = folder / "x.1.part", folder / "y.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * STALE,) * 2)
    store._budget = 0  # the next put evicts
    store.put("b", [b"audio"], 1.0)
    assert (old.exists(), new.exists()) == (False, True)
    assert {path.name for path in folder.iterdir()} == {"a.speech", "b.speech", "lock", "y.2.part"}
    assert module.on_disk(1) == 4096
