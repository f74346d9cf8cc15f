"""The store of added voices: concurrent writers, killed writers, broken records, full disks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import ROOT
from voxcpm_openai import Voice
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.errors import StorageUnwritable
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.library import VoiceLibrary
from voxcpm_openai.voices.store import records
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.records import TEMPORARY, RecordFolder
from voxcpm_openai.voices.store.voices import VoiceStore

CLIP = b"fLaC and so on"

SCRIPT = """
import sys
from pathlib import Path
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.voices import VoiceStore
store = VoiceStore(DataFolder(Path(sys.argv[1])), Settings(max_voices=10))
print("ready", flush=True)
sys.stdin.readline()
refused = 0
for _ in range(10):
    try:
        store.add("x", b"clip", principal=OPERATOR)
    except InvalidRequest as error:
        assert error.code == "voices_full"
        refused += 1
print(refused)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "yet"


def opened(root: Path, **settings: object) -> VoiceStore:
    return VoiceStore(DataFolder(root), Settings(**settings))


def test_another_process_reads_an_added_voice_unchanged(root: Path) -> None:
    jane = unnamed("jane").principal
    voice = opened(root).add(
        "Jane",
        CLIP,
        principal=jane,
        transcript="Some words.",
        description="Calm.",
        language="en",
    )
    again = opened(root).find(voice.id, jane)
    assert again == voice
    assert again is not None
    assert (again.name, again.owner, again.transcript) == (
        "Jane",
        jane.key_id,
        "Some words.",
    )
    assert again.audio is not None
    assert again.audio.read_bytes() == CLIP
    assert abs(time.time() - (again.created_at or 0)) < 60


def test_no_folder_is_created_until_a_voice_is_added(root: Path) -> None:
    assert opened(root).voices() == []
    DataFolder(root).sweep()
    assert not root.exists()


@pytest.mark.parametrize(
    "id_",
    ["..", ".", "", "../voices", "/etc/passwd", "voice_1/../..", f"{TEMPORARY}1", "lock", "\0"],
)
def test_ids_cannot_leave_the_folder(root: Path, id_: str) -> None:
    store = opened(root)
    stored = store.add("stored", CLIP, principal=OPERATOR)
    assert store.find(id_) is None
    for change in (store.remove, store.keep, lambda i, p: store.update(i, p, name="x")):
        with pytest.raises(Exception, match="does not exist"):
            change(id_, OPERATOR)
    assert store.voices() == [stored]


def test_a_change_is_visible_to_other_stores_at_once(root: Path) -> None:
    one, other = opened(root), opened(root)
    for number in range(30):
        voice = one.add(str(number), CLIP, principal=OPERATOR)
        assert len(other.voices()) == number + 1
        other.update(voice.id, OPERATOR, name="changed")
        assert (found := one.find(voice.id)) is not None
        assert found.name == "changed"
    one.remove(voice.id, OPERATOR)
    assert other.find(voice.id) is None


def test_a_change_within_one_tick_of_the_file_systems_clock_is_visible(root: Path) -> None:
    one, other = opened(root), opened(root)
    one.add("first", CLIP, principal=OPERATOR)
    before = (root / "voices").stat()
    assert len(other.voices()) == 1
    one.add("second", CLIP, principal=OPERATOR)
    os.utime(root / "voices", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(other.voices()) == 2


def test_an_unchanged_folder_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(root)
    store.add("first", CLIP, principal=OPERATOR)
    long_ago = time.time_ns() - 10**10
    os.utime(root / "voices", ns=(long_ago, long_ago))
    seen = store.voices()
    monkeypatch.setattr(RecordFolder, "scan", lambda self: pytest.fail("read again"))
    assert store.voices() == seen


def test_the_limit_on_voices_holds_for_two_processes(root: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # both write at the same time
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    refused = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert len(opened(root).voices()) == 10
    assert sum(refused) == 10


def test_the_store_is_consistent_after_a_writer_is_killed_at_any_line(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_writer", str(root), "200"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] > 140
    assert result["leftovers"] > 10  # or the test would prove nothing
    assert result["done"] > 40


def test_unfinished_records_of_a_running_writer_are_not_swept(root: Path) -> None:
    data = DataFolder(root)
    opened(root).add("first", CLIP, principal=OPERATOR)
    swept = threading.Event()
    with data.writing():
        unfinished = root / "voices" / f"{TEMPORARY}mine"
        unfinished.mkdir()
        sweeper = threading.Thread(target=lambda: (DataFolder(root).sweep(), swept.set()))
        sweeper.start()
        assert not swept.wait(0.1)
        assert unfinished.is_dir()
    sweeper.join(10)
    assert not unfinished.exists()


def test_a_broken_record_is_logged_and_skipped(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(root)
    good, bad = (store.add(name, CLIP, principal=OPERATOR) for name in ("good", "bad"))
    (root / "voices" / bad.id / "voice.json").write_text("{")
    assert opened(root).voices() == [good]
    assert bad.id in caplog.text


def test_an_unreadable_folder_holds_no_voices(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert opened(tmp_path / "file").voices() == []
    assert "cannot be read" in caplog.text


def test_a_voice_that_could_not_be_read_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(root)
    voice = store.add("first", CLIP, principal=OPERATOR)
    long_ago = time.time_ns() - 10**10
    os.utime(root / "voices", ns=(long_ago, long_ago))

    def fail(path: Path, limit: int) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(records, "read_plain_file", fail)
        assert store.voices() == []
    assert store.voices() == [voice]


def test_an_unwritable_folder_is_reported_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnwritable, match="VOXCPM_DATA_DIR"):
        opened(tmp_path / "file").add("x", CLIP, principal=OPERATOR)


def test_a_full_disk_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(root)
    store.add("first", CLIP, principal=OPERATOR)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnwritable, match="No space left"):
        store.add("second", CLIP, principal=OPERATOR)
    assert [path.name for path in (root / "voices").iterdir()] == [store.voices()[0].id]


def test_an_added_voice_never_replaces_a_built_in_one(root: Path) -> None:
    store = opened(root)
    added = store.add("added", CLIP, principal=OPERATOR)
    built_in = Voice(added.id, "built in")
    library = VoiceLibrary({added.id: built_in}, store)
    assert library.get(added.id, OPERATOR) is built_in
    assert library.all(OPERATOR) == [built_in]


def test_a_voice_never_loses_its_consent(root: Path) -> None:
    consents = ConsentStore(DataFolder(root), Settings())
    for _ in range(15):
        consent = consents.add("c", CLIP, principal=OPERATOR, language="en")

        def add(consent_id: str = consent.id) -> None:
            opened(root).add("v", CLIP, principal=OPERATOR, consent=consent_id)

        def remove(consent_id: str = consent.id) -> None:
            ConsentStore(DataFolder(root), Settings()).remove(consent_id, OPERATOR)

        with ThreadPoolExecutor(2) as pool:
            faults = [f.exception() for f in [pool.submit(add), pool.submit(remove)]]
        assert sum(fault is not None for fault in faults) == 1  # the one that came second
    kept = {consent.id for consent in consents.all(OPERATOR)}
    data = DataFolder(root)
    assert {voice.consent for voice in data.voices.all().values()} == kept


def test_deleting_a_voice_deletes_the_latents_of_its_clip(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "voxcpm-openai" / "prompts"
    cache.mkdir(parents=True)
    latents = cache / f"{hashlib.sha256(CLIP).hexdigest()}-model.safetensors"
    other = cache / f"{hashlib.sha256(b'other').hexdigest()}-model.safetensors"
    latents.touch()
    other.touch()
    store = opened(root)
    store.remove(store.add("x", CLIP, principal=OPERATOR).id, OPERATOR)
    assert list(cache.iterdir()) == [other]


def test_other_users_of_the_machine_cannot_read_the_folder(root: Path) -> None:
    opened(root).add("x", CLIP, principal=OPERATOR)
    assert root.stat().st_mode & 0o077 == 0
