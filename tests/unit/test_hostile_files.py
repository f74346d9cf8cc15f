"""Files in the voices folder and the data folder that are not what their names say.

Each kind of file is put in each place that is read.  The alarm ends a test that opens a pipe.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import soundfile

from tests.support.hostile_files import (
    NOT_AUDIO,
    NOT_FILES,
    Put,
    huge,
    link,
    link_to_device,
    loop,
    nothing,
    pipe,
    text,
    unix_socket,
)
from tests.support.stock import load_plugin
from tests.support.uploads import RECORDING
from voxcpm_openai import InvalidRequest, PluginError, Segment, Utterance, Voice
from voxcpm_openai.audio import read_clip
from voxcpm_openai.clips import read_clip_file
from voxcpm_openai.errors import StorageUnwritable, UnknownDictionary, UnknownVoice
from voxcpm_openai.files import FileRefused, read_file, read_plain_file
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.preview import PreviewCache
from voxcpm_openai.voices.store.candidates import CandidateStore, Design
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.dictionaries import DictionaryStore
from voxcpm_openai.voices.store.voices import VoiceStore

PLUGIN = load_plugin("voice_folder")
SECONDS = 10


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Fail a test that waits for the other end of a pipe."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("a file was opened that never ends")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replace_by(put: Put, path: Path) -> None:
    path.unlink()
    put(path)


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def synthesized(voice: Voice, seed: int = 7) -> tuple[Utterance, Clip]:
    return Utterance((Segment("Hello."),), voice, seed=seed), Clip(np.zeros(800, np.float32), 8000)


def never(_: Utterance) -> bytes:
    raise AssertionError("synthesized")


@pytest.mark.parametrize("put", NOT_AUDIO)
def test_a_clip_in_the_users_folder_stops_the_start_and_is_named(tmp_path: Path, put: Put) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "wren.toml").write_text('name = "Wren"\n')
    put(folder / "wren.flac")
    with pytest.raises(PluginError, match=r"wren\.flac"):
        load_registry(Settings(voices_dir=folder))


@pytest.mark.parametrize("put", [*NOT_FILES, text])
def test_a_toml_file_in_the_users_folder_stops_the_start_and_is_named(
    tmp_path: Path, put: Put
) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    put(folder / "wren.toml")
    with pytest.raises(PluginError, match=r"wren\.toml"):
        PLUGIN.read_folder(folder)


@pytest.mark.parametrize("content", ["a = " + "[" * 9_000, "a = " + "9" * 9_000, "\0", "a = \\"])
def test_a_toml_file_that_python_cannot_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "wren.toml").write_text(content)
    with pytest.raises(PluginError, match=r"wren\.toml is not TOML"):
        PLUGIN.read_folder(tmp_path)


def test_a_voice_whose_id_is_not_text_stops_the_start(tmp_path: Path) -> None:
    """Linux allows file names that are not UTF-8; no answer could list such a voice."""
    name = os.fsdecode(b"wren\xff.toml")
    (tmp_path / name).write_text("[options.hibari]\npitch = 1.2\n")
    with pytest.raises(PluginError, match="not a name"):
        load_registry(Settings(voices_dir=tmp_path))


@pytest.mark.parametrize("put", NOT_AUDIO)
def test_a_clip_that_is_replaced_later_is_neither_shown_nor_spoken_with(
    tmp_path: Path, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "wren.toml").write_text('name = "Wren"\n')
    (folder / "wren.flac").write_bytes(RECORDING)
    voice = load_registry(Settings(voices_dir=folder)).voices["wren"]
    assert voice.audio is not None
    replace_by(put, voice.audio)
    with pytest.raises(UnknownVoice) as shown:
        PreviewCache(tmp_path).get(voice, "tone", never)
    with pytest.raises(InvalidRequest) as spoken:
        read_clip(voice.audio, 24_000)
    for caught in (shown, spoken):
        assert str(tmp_path) not in str(caught.value)
    assert caplog.text.count(str(voice.audio)) >= 2


@pytest.mark.parametrize("put", NOT_AUDIO)
def test_a_clip_in_the_data_folder_is_not_shown(
    data: DataFolder, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    store = VoiceStore(data, Settings())
    voice = store.add("Jane", RECORDING, principal=OPERATOR)
    assert voice.audio is not None
    replace_by(put, voice.audio)
    with pytest.raises(UnknownVoice):
        PreviewCache(data.root).get(voice, "tone", never)
    assert str(voice.audio) in caplog.text
    store.remove(voice.id, OPERATOR)
    assert store.voices(OPERATOR) == []


@pytest.mark.parametrize("put", [*NOT_FILES, text, nothing])
def test_a_record_in_the_data_folder_is_skipped_and_named(
    data: DataFolder, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    store = VoiceStore(data, Settings())
    bad, good = (store.add(name, RECORDING, principal=OPERATOR) for name in ("bad", "good"))
    path = data.voices.folder / bad.id / "voice.json"
    replace_by(put, path)
    assert store.voices(OPERATOR) == [good]
    assert str(path) in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        '{"id": %r, "name": 7, "created_at": 1}',
        '{"id": %r, "name": "x", "created_at": "yesterday"}',
        '{"id": %r, "name": "x", "created_at": 1, "owner": ["x"]}',
        '{"id": %r, "name": "x", "created_at": ' + "9" * 5_000 + "}",
        '{"id": %r, "name": "\\ud800", "created_at": 1}',
        "[" * 60_000,
        "[]",
        "null",
    ],
    ids=lambda content: content[:60],
)
def test_a_record_with_values_of_other_types_is_skipped(data: DataFolder, content: str) -> None:
    store = VoiceStore(data, Settings())
    bad, good = (store.add(name, RECORDING, principal=OPERATOR) for name in ("bad", "good"))
    written = content.replace("%r", f'"{bad.id}"')
    (data.voices.folder / bad.id / "voice.json").write_text(written)
    assert store.voices(OPERATOR) == [good]


def test_a_folder_of_a_record_that_is_a_link_is_ignored_and_named(
    data: DataFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    consents = ConsentStore(data, Settings())
    made = consents.add("x", RECORDING, language="en", principal=OPERATOR)
    moved = (data.consents.folder / made.id).rename(tmp_path / made.id)
    (data.consents.folder / made.id).symlink_to(moved)
    assert consents.all(OPERATOR) == []
    assert f"{data.consents.folder / made.id} is a link" in caplog.text


@pytest.mark.parametrize("put", [*NOT_FILES, text])
def test_the_rules_of_a_dictionary_are_left_out(data: DataFolder, put: Put) -> None:
    store = DictionaryStore(data)
    made = store.add("x", [LexiconRule("Nguyen", "win")], principal=OPERATOR)
    replace_by(put, data.dictionaries.content(made.id))
    with pytest.raises(UnknownDictionary):
        store.rules(made.id, OPERATOR)
    assert len(store.lexicon(OPERATOR)) == 0


@pytest.mark.parametrize("put", NOT_FILES)
def test_the_clip_of_a_candidate_is_not_shown(data: DataFolder, put: Put) -> None:
    candidates = CandidateStore(data)
    made = candidates.add(Design("x", "y"), [synthesized(Voice("", ""))], OPERATOR)[0]
    replace_by(put, data.candidates.content(made.id))
    assert candidates.clip(made.id, OPERATOR) is None
    store = VoiceStore(data, Settings())
    with pytest.raises(UnknownVoice, match="has no clip"):
        store.keep(made.id, OPERATOR)
    assert store.voices(OPERATOR) == []


@pytest.mark.parametrize("put", [link, link_to_device, loop, pipe, huge, text, nothing])
def test_a_cached_preview_is_made_anew(tmp_path: Path, put: Put) -> None:
    voice = Voice("robin", "Robin", options={"tone": {"pitch": 1.0}})
    cache = PreviewCache(tmp_path)
    cache.get(voice, "tone", lambda _: RECORDING)
    (path,) = (tmp_path / "samples").glob("*.flac")
    replace_by(put, path)
    assert cache.get(voice, "tone", lambda _: RECORDING).content == RECORDING
    assert not path.is_symlink()
    assert cache.get(voice, "tone", never).content == RECORDING


@pytest.mark.parametrize("put", [link, link_to_device, loop, pipe, unix_socket, Path.mkdir])
def test_a_lock_that_is_no_file_is_not_opened(data: DataFolder, put: Put) -> None:
    data.root.mkdir()
    put(data.root / "lock")
    with pytest.raises(StorageUnwritable) as caught:
        VoiceStore(data, Settings()).add("x", RECORDING, principal=OPERATOR)
    assert str(data.root) not in str(caught.value)


@pytest.mark.parametrize("put", [pipe, unix_socket, Path.mkdir, huge, link_to_device])
@pytest.mark.parametrize("read", [read_file, read_plain_file])
def test_a_reader_refuses_and_says_what_to_do(
    tmp_path: Path, put: Put, read: Callable[[Path, int], bytes]
) -> None:
    path = tmp_path / "x"
    put(path)
    with pytest.raises(FileRefused, match=rf"{path}.*Put"):
        read(path, 100)


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100)
    assert read_file(path, 100) == read_plain_file(path, 100) == b"x" * 100
    for read in (read_file, read_plain_file):
        with pytest.raises(FileRefused, match="more than 99 bytes"):
            read(path, 99)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """Kubernetes mounts files as links to a folder beside them, which it exchanges."""
    folder = tmp_path / "voices"
    (folder / "..2026").mkdir(parents=True)
    (folder / "..2026" / "wren.flac").write_bytes(RECORDING)
    (folder / "..2026" / "wren.toml").write_text('name = "Wren"\n')
    (folder / "..data").symlink_to("..2026")
    for name in ("wren.flac", "wren.toml"):
        (folder / name).symlink_to(f"..data/{name}")
    voice = load_registry(Settings(voices_dir=folder)).voices["wren"]
    assert PreviewCache(tmp_path).get(voice, "tone", never).content == RECORDING


def test_a_folder_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "wren.toml").write_text('name = "Wren"\n')
    (tmp_path / "voices" / "wren.flac").write_bytes(RECORDING)
    (tmp_path / "link").symlink_to("voices")
    (voice,) = PLUGIN.read_folder(tmp_path / "link")
    assert PreviewCache(tmp_path).get(voice, "tone", never).content == RECORDING


def test_a_plugins_clip_that_a_package_manager_linked_is_read(tmp_path: Path) -> None:
    plugins, cache = tmp_path / "plugins", tmp_path / "cache"
    plugins.mkdir()
    cache.mkdir()
    (cache / "jane.flac").write_bytes(RECORDING)
    (plugins / "jane.flac").symlink_to(cache / "jane.flac")
    (plugins / "pack.py").write_text(
        "from pathlib import Path\n"
        "from voxcpm_openai import Voice, hookimpl\n"
        "@hookimpl\n"
        "def register_voices():\n"
        "    return [Voice('jane', 'Jane', audio=Path(__file__).with_name('jane.flac'))]\n"
    )
    voice = load_registry(Settings(plugins_dir=plugins)).voices["jane"]
    assert PreviewCache(tmp_path).get(voice, "tone", never).content == RECORDING


def test_the_media_type_is_that_of_the_content(tmp_path: Path) -> None:
    samples = np.zeros(800, np.float32)
    soundfile.write(tmp_path / "x.flac", samples, 8000, format="WAV")
    assert read_clip_file(tmp_path / "x.flac").media_type == "audio/wav"
