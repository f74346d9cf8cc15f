"""Everything that clients can store is bounded, by number and by bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxcpm_openai import InvalidRequest, Segment, Utterance, Voice
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.principal import OPERATOR, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.text.lexicon_files import rules_of_list
from voxcpm_openai.voices import preview, validation
from voxcpm_openai.voices.intake import decode
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.preview import PreviewCache
from voxcpm_openai.voices.store import candidates, dictionaries
from voxcpm_openai.voices.store.candidates import CandidateStore, Design
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.dictionaries import DictionaryStore
from voxcpm_openai.voices.store.records import MAX_BYTES, MAX_CONTENT, RecordFolder
from voxcpm_openai.voices.store.voices import VoiceStore

JANE, JOHN = unnamed("jane's key").principal, unnamed("john's key").principal
SETTINGS = Settings(max_voices=6, max_consents=6)
SOUND = Clip(np.zeros(800, np.float32), 8000)
LIMIT = 6


def utterances(count: int) -> list[tuple[Utterance, Clip]]:
    said = (Segment("Hello."),)
    return [(Utterance(said, Voice("", ""), seed=seed), SOUND) for seed in range(count)]


Add = Callable[[DataFolder, Principal], object]
# What clients can store -> how they add one, and the code of the error when there are too many.
STORES: dict[str, tuple[Add, str | None]] = {
    "voices": (lambda data, who: VoiceStore(data, SETTINGS).add("x", b"", principal=who), "voices"),
    "consents": (
        lambda data, who: ConsentStore(data, SETTINGS).add("x", b"", language="en", principal=who),
        "consents",
    ),
    "candidates": (
        lambda data, who: CandidateStore(data).add(Design("x", "y"), utterances(1), who),
        None,
    ),
    "dictionaries": (
        lambda data, who: DictionaryStore(data).add("x", [LexiconRule("a", "b")], principal=who),
        "dictionaries",
    ),
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.setattr(dictionaries, "MAX_DICTIONARIES", LIMIT)
    monkeypatch.setattr(candidates, "MAX_CANDIDATES", LIMIT)
    return DataFolder(tmp_path / "data")


def test_each_folder_of_records_has_a_limit(data: DataFolder) -> None:
    folders = {name for name, value in vars(data).items() if isinstance(value, RecordFolder)}
    assert folders == set(STORES)


@pytest.mark.parametrize("name", STORES)
def test_no_more_than_the_limit_is_stored(data: DataFolder, name: str) -> None:
    add, code = STORES[name]
    for _ in range(LIMIT):
        add(data, JANE)
    if code is None:
        add(data, JANE)
    else:
        with pytest.raises(InvalidRequest, match="limit") as caught:
            add(data, JANE)
        assert (caught.value.status, caught.value.code) == (400, f"{code}_full")
    assert getattr(data, name).count() == LIMIT


@pytest.mark.parametrize("name", ["voices", "consents"])
def test_the_limit_is_that_of_all_owners_and_can_be_set(data: DataFolder, name: str) -> None:
    add, _ = STORES[name]
    for number in range(LIMIT):
        add(data, [JANE, JOHN, OPERATOR][number % 3])
    with pytest.raises(InvalidRequest, match=f"VOXCPM_MAX_{name.upper()}"):
        add(data, JOHN)


def test_a_deleted_consent_makes_room(data: DataFolder) -> None:
    store = ConsentStore(data, Settings(max_consents=1))
    made = store.add("x", b"", language="en", principal=JANE)
    with pytest.raises(InvalidRequest, match="VOXCPM_MAX_CONSENTS"):
        store.add("x", b"", language="en", principal=JANE)
    store.remove(made.id, JANE)
    store.add("x", b"", language="en", principal=JANE)


def test_new_candidates_replace_the_oldest_of_the_same_owner(data: DataFolder) -> None:
    store = CandidateStore(data)
    johns = store.add(Design("x", "y"), utterances(LIMIT), JOHN)
    first = store.add(Design("x", "y"), utterances(3), JANE)
    others = [store.add(Design("x", "y"), utterances(3), JANE) for _ in range(4)]
    kept = data.candidates.scan()
    assert {one.id for one in johns} <= set(kept)
    assert not {one.id for one in first} & set(kept)
    assert len([one for one in kept.values() if one.owner == JANE.key_id]) == LIMIT
    assert {one.id for one in others[-1]} <= set(kept)


def test_the_rules_of_all_dictionaries_of_an_owner_are_limited(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionaries, "MAX_RULES", 5)
    store = DictionaryStore(data)
    rules = [LexiconRule(letter, "x") for letter in "abc"]
    first = store.add("x", rules, principal=JANE)
    with pytest.raises(InvalidRequest, match="limit of 5 rules") as caught:
        store.add("x", rules, principal=JANE)
    assert caught.value.code == "dictionaries_full"
    store.add("x", rules, principal=JOHN)
    store.add("x", rules[:2], principal=JANE)
    store.remove(first.id, JANE)
    store.add("x", rules, principal=JANE)


def test_the_longest_of_each_record_can_be_read_again(data: DataFolder) -> None:
    """What may be stored is below what is read: a minute of audio, and the longest rules."""
    seconds = decode.MAX_SECONDS + decode.PADDING
    noise = np.random.default_rng(1).uniform(-0.9, 0.9, round(seconds * decode.MAX_RATE))
    recording = Clip(noise.astype(np.float32), decode.MAX_RATE).flac()
    assert len(recording) < MAX_CONTENT
    longest = "\U0001f600" * validation.MAX_TRANSCRIPT
    texts = {"name": "x" * validation.MAX_NAME, "transcript": longest, "description": longest[:500]}
    voice = VoiceStore(data, SETTINGS).add(clip=recording, principal=JANE, **texts)
    assert data.voices.read(voice.id) == recording
    record = data.voices.folder / voice.id / "voice.json"
    assert record.stat().st_size < MAX_BYTES
    rules = rules_of_list(
        [
            {"type": "alias", "string_to_replace": f"{n:04}" + "文" * 196, "alias": "文" * 200}
            for n in range(1000)
        ]
    )
    store = DictionaryStore(data)
    made = store.add("x", rules, principal=JANE)
    assert store.rules(made.id, JANE) == rules


def test_the_oldest_previews_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MAX_PREVIEWS", 3)
    cache = PreviewCache(tmp_path)
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "left-by-a-killed-writer.part").touch()
    made: list[str] = []
    for number in range(5):
        for age, path in enumerate(sorted(folder.iterdir(), key=os.path.getmtime, reverse=True), 1):
            os.utime(path, (1_000 - age, 1_000 - age))  # so that no two are of the same age
        voice = Voice(f"robin-{number}", "Robin", options={"tone": {}})
        cache.get(voice, "tone", lambda said: made.append(said.voice.id) or SOUND.flac())
    assert len(list(folder.iterdir())) == 3
    for number in (4, 3, 2):
        voice = Voice(f"robin-{number}", "Robin", options={"tone": {}})
        cache.get(voice, "tone", lambda _: pytest.fail("it was kept"))
    assert made == [f"robin-{number}" for number in range(5)]


@pytest.mark.parametrize("first", ["preview", "voice"])
def test_whatever_is_stored_first_other_users_cannot_read_the_data_folder(
    data: DataFolder, first: str
) -> None:
    if first == "preview":
        voice = Voice("robin", "Robin", options={"tone": {}})
        PreviewCache(data.root).get(voice, "tone", lambda _: SOUND.flac())
    else:
        VoiceStore(data, SETTINGS).add("x", b"", principal=JANE)
    assert data.root.stat().st_mode & 0o777 == 0o700
