"""The store: added voices on disk, whoever writes, and whatever becomes of the writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live import ROOT
from voxcpm_openai.errors import Unwritable
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.consents import Consents
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.records import ASIDE, Records
from voxcpm_openai.voices.store import Store

CLIP = b"fLaC and so on"

SCRIPT = """
import sys
from pathlib import Path
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.store import Store
store = Store(Data(Path(sys.argv[1])), Settings(max_voices=10))
print("ready", flush=True)
sys.stdin.readline()
refused = 0
for _ in range(10):
    try:
        store.add("x", b"clip", owner=None)
    except InvalidRequest as error:
        assert error.code == "voices_full"
        refused += 1
print(refused)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "yet"


def opened(root: Path, **settings: object) -> Store:
    return Store(Data(root), Settings(**settings))  # type: ignore[arg-type]


def test_what_was_added_is_read_by_another_process_as_it_was_given(root: Path) -> None:
    voice = opened(root).add(
        "Jane",
        CLIP,
        owner="somebody",
        transcript="Some words.",
        description="Calm.",
        language="en",
    )
    again = opened(root).find(voice.id)
    assert again == voice
    assert again is not None
    assert (again.name, again.owner, again.transcript) == ("Jane", "somebody", "Some words.")
    assert again.audio is not None
    assert again.audio.read_bytes() == CLIP
    assert abs(time.time() - (again.created_at or 0)) < 60


def test_nothing_is_made_where_nothing_was_added(root: Path) -> None:
    assert opened(root).voices() == []
    Data(root).sweep()
    assert not root.exists()


@pytest.mark.parametrize(
    "id_", ["..", ".", "", "../voices", "/etc/passwd", "voice_1/../..", f"{ASIDE}1", "lock", "\0"]
)
def test_ids_cannot_leave_the_folder(root: Path, id_: str) -> None:
    store = opened(root)
    kept = store.add("kept", CLIP, owner=None)
    assert store.find(id_) is None
    for act in (store.remove, store.keep, lambda i, v: store.update(i, v, name="x")):
        with pytest.raises(Exception, match="does not exist"):
            act(id_, None)
    assert store.voices() == [kept]


def test_a_change_is_seen_by_others_at_once_though_many_follow_closely(root: Path) -> None:
    one, other = opened(root), opened(root)
    for number in range(30):
        voice = one.add(str(number), CLIP, owner=None)
        assert len(other.voices()) == number + 1
        other.update(voice.id, None, name="changed")
        assert (found := one.find(voice.id)) is not None
        assert found.name == "changed"
    one.remove(voice.id, None)
    assert other.find(voice.id) is None


def test_a_change_within_one_tick_of_the_file_systems_clock_is_seen(root: Path) -> None:
    one, other = opened(root), opened(root)
    one.add("first", CLIP, owner=None)
    before = (root / "voices").stat()
    assert len(other.voices()) == 1
    one.add("second", CLIP, owner=None)
    os.utime(root / "voices", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(other.voices()) == 2


def test_a_folder_that_rests_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(root)
    store.add("first", CLIP, owner=None)
    long_ago = time.time_ns() - 10**10
    os.utime(root / "voices", ns=(long_ago, long_ago))
    seen = store.voices()
    monkeypatch.setattr(Records, "scan", lambda self: pytest.fail("read again"))
    assert store.voices() == seen


def test_as_many_voices_as_may_be_and_not_one_more_from_two_processes(root: Path) -> None:
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
    for writer in writers:  # both at once
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    refused = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert len(opened(root).voices()) == 10
    assert sum(refused) == 10


def test_whenever_a_writer_is_killed_the_store_is_whole(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed", str(root), "200"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] > 140
    assert result["left aside"] > 10  # or the test would prove nothing
    assert result["done"] > 40


def test_what_a_living_writer_makes_is_not_swept(root: Path) -> None:
    data = Data(root)
    opened(root).add("first", CLIP, owner=None)
    swept = threading.Event()
    with data.writing():
        aside = root / "voices" / f"{ASIDE}mine"
        aside.mkdir()
        sweeper = threading.Thread(target=lambda: (Data(root).sweep(), swept.set()))
        sweeper.start()
        assert not swept.wait(0.1)
        assert aside.is_dir()
    sweeper.join(10)
    assert not aside.exists()


def test_a_broken_record_is_told_and_left_out(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(root)
    good, bad = (store.add(name, CLIP, owner=None) for name in ("good", "bad"))
    (root / "voices" / bad.id / "voice.json").write_text("{")
    assert opened(root).voices() == [good]
    assert bad.id in caplog.text


def test_a_folder_that_cannot_be_read_holds_no_voices(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert opened(tmp_path / "file").voices() == []
    assert "cannot be read" in caplog.text


def test_a_voice_that_could_not_be_read_once_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(root)
    voice = store.add("first", CLIP, owner=None)
    long_ago = time.time_ns() - 10**10
    os.utime(root / "voices", ns=(long_ago, long_ago))

    def refused(path: Path) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        assert store.voices() == []
    assert store.voices() == [voice]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unwritable, match="VOXCPM_DATA_DIR"):
        opened(tmp_path / "file").add("x", CLIP, owner=None)


def test_a_disk_that_is_full_leaves_nothing_behind(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(root)
    store.add("first", CLIP, owner=None)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unwritable, match="No space left"):
        store.add("second", CLIP, owner=None)
    assert [path.name for path in (root / "voices").iterdir()] == [store.voices()[0].id]


def test_an_added_voice_never_takes_the_place_of_a_built_in_one(root: Path) -> None:
    from voxcpm_openai import Voice

    store = opened(root)
    added = store.add("added", CLIP, owner=None)
    built_in = Voice(added.id, "built in")
    catalog = Catalog({added.id: built_in}, store)
    assert catalog.get(added.id, None) is built_in
    assert catalog.all(None) == [built_in]


def test_no_voice_is_ever_left_without_its_consent(root: Path) -> None:
    consents = Consents(Data(root))
    for _ in range(15):
        consent = consents.add("c", CLIP, owner=None, language="en")

        def add(consent_id: str = consent.id) -> None:
            opened(root).add("v", CLIP, owner=None, consent=consent_id)

        def remove(consent_id: str = consent.id) -> None:
            Consents(Data(root)).remove(consent_id, None)

        with ThreadPoolExecutor(2) as pool:
            faults = [f.exception() for f in [pool.submit(add), pool.submit(remove)]]
        assert sum(fault is not None for fault in faults) == 1  # whoever came second
    kept = {consent.id for consent in consents.all(None)}
    data = Data(root)
    assert {voice.consent for voice in data.voices.all().values()} == kept


def test_deleting_a_voice_deletes_what_was_made_of_its_clip(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "voxcpm-openai" / "prompts"
    kept.mkdir(parents=True)
    mine = kept / f"{hashlib.sha256(CLIP).hexdigest()}-model.safetensors"
    other = kept / f"{hashlib.sha256(b'other').hexdigest()}-model.safetensors"
    mine.touch()
    other.touch()
    store = opened(root)
    store.remove(store.add("x", CLIP, owner=None).id, None)
    assert list(kept.iterdir()) == [other]


def test_nobody_else_on_the_machine_may_look(root: Path) -> None:
    opened(root).add("x", CLIP, owner=None)
    assert root.stat().st_mode & 0o077 == 0
