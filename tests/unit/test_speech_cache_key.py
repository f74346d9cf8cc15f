"""The key of cached speech: it changes with every input of the bytes."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxcpm_openai.cache.key import NOT_AUDIBLE, ClipHashes, speech_key
from voxcpm_openai.contracts import Pronunciation, Segment, Utterance, Voice
from voxcpm_openai.formats import AudioEncoder, AudioFormat
from voxcpm_openai.speech_request import OutputSpec


def no_encoder(_rate: int) -> AudioEncoder:
    raise AssertionError("a key needs no encoder")


OPUS = AudioFormat("opus", "audio/ogg", no_encoder, lambda own, _: own)
WAV = AudioFormat("wav", "audio/wav", no_encoder, lambda own, _: own)

texts = st.text(max_size=8)
numbers = st.floats(0, 4, allow_nan=False) | st.integers(0, 4)
options = st.dictionaries(texts, numbers | texts | st.booleans() | st.none(), max_size=3)
places = st.builds(Pronunciation, st.integers(0, 9), st.integers(0, 9), texts)
segments = st.builds(
    Segment, texts, numbers, numbers, st.lists(places, max_size=2).map(tuple), texts
)
optional_texts = st.none() | texts
VOICE: dict[str, st.SearchStrategy[Any]] = {
    "id": texts,
    "name": texts,
    "transcript": optional_texts,
    "description": texts,
    "language": texts,
    "license": texts,
    "provenance": texts,
    "owner": optional_texts,
    "created_at": st.none() | st.integers(0, 9),
    "options": st.dictionaries(texts, options, max_size=2),
    "lexicon": st.dictionaries(texts, texts | options, max_size=2),
    "public": st.booleans(),
}
UTTERANCE: dict[str, st.SearchStrategy[Any]] = {
    "segments": st.lists(segments, min_size=1, max_size=3).map(tuple),
    "options": options,
    "speed": numbers,
    "seed": st.none() | st.integers(0, 9),
    "instructions": optional_texts,
    "tempo": numbers,
    "languages": st.lists(texts, max_size=2).map(tuple),
    "continuation": st.none() | texts,
}
OUTPUT: dict[str, st.SearchStrategy[Any]] = {
    "format": st.sampled_from([OPUS, WAV]),
    "rate": st.integers(8000, 8009),
    "tempo": numbers,
    "rates": st.lists(numbers, max_size=2).map(tuple),
    "lead": numbers,
    "tail": numbers,
    "bit_rate": st.none() | st.integers(0, 9),
    "sse": st.booleans(),
    "written": st.lists(texts, max_size=2).map(tuple),
}
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "engine": st.tuples(texts, texts),
    "settings": st.none() | options,
    "frames": texts,
    "clip": texts,
}
ALL = {
    **{f"voice.{name}": values for name, values in VOICE.items()},
    **{f"utterance.{name}": values for name, values in UTTERANCE.items()},
    **{f"output.{name}": values for name, values in OUTPUT.items()},
    **OTHERS,
}
DEFAULTS: dict[str, Any] = {
    "voice.id": "alloy",
    "voice.name": "Alloy",
    "utterance.segments": (Segment("Hello."),),
    "output.format": WAV,
    "output.rate": 24000,
    "engine": ("tone", ""),
    "settings": None,
    "frames": "audio/wav",
    "clip": "",
}


def key(facts: dict[str, Any]) -> str:
    facts = {**DEFAULTS, **facts}
    parts: dict[str, dict[str, Any]] = {"voice": {}, "utterance": {}, "output": {}, "": {}}
    for name, value in facts.items():
        part, _, field = name.rpartition(".")
        parts[part][field] = value
    voice = Voice(**parts["voice"])
    utterance = Utterance(voice=voice, **parts["utterance"])
    return speech_key(utterance=utterance, output=OutputSpec(**parts["output"]), **parts[""])


def test_every_field_is_in_the_table_below() -> None:
    tables = ((Voice, VOICE, {"audio"}), (Utterance, UTTERANCE, {"voice"}))
    for kind, table, apart in (*tables, (OutputSpec, OUTPUT, NOT_AUDIBLE)):
        assert {field.name for field in fields(kind)} == table.keys() | apart


@pytest.mark.parametrize("name", ALL)
def test_each_field_changes_the_key_and_equal_ones_do_not(name: str) -> None:
    @given(ALL[name], ALL[name])
    def check(one: object, other: object) -> None:
        same = one == other and repr(one) == repr(other)
        if same or one != other:
            assert (key({name: one}) == key({name: other})) is same

    check()


@given(st.dictionaries(texts, numbers, min_size=2, max_size=4))
def test_the_order_of_options_does_not_affect_the_key(one: dict[str, object]) -> None:
    turned = dict(reversed(one.items()))
    assert key({"utterance.options": one}) == key({"utterance.options": turned})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"voice.id": "ab", "voice.name": "c"}, {"voice.id": "a", "voice.name": "bc"}),
        ({"utterance.options": {"a": 1}}, {"utterance.options": {"a": True}}),
        ({"utterance.options": {"a": 1}}, {"utterance.options": {"a": "1"}}),
        ({"utterance.options": {"a": None}}, {"utterance.options": {}}),
        ({"utterance.seed": 0}, {"utterance.seed": None}),
        (
            {"utterance.segments": (Segment("a b"),)},
            {"utterance.segments": (Segment("a"), Segment("b"))},
        ),
    ],
)
def test_similar_inputs_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(one) != key(other)


def test_ignored_fields_do_not_affect_the_key() -> None:
    utterance = Utterance((Segment("a"),), Voice("a", "a"))
    output = OutputSpec(WAV, 24000)
    ignored = replace(output, ignored=("language",))
    facts = ("tone", ""), None, utterance
    assert speech_key(*facts, output, "x") == speech_key(*facts, ignored, "x")


def test_a_key_is_a_file_name_that_begins_with_the_hash_of_the_clip() -> None:
    assert key({"voice.id": "../\udc80/x", "clip": "c0ffee"}).startswith("c0ffee-")
    assert set(key({"voice.id": "../\udc80/x"})) <= set("0123456789abcdef")


def test_the_hash_of_a_clip_is_cached_until_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, hashes, reads = tmp_path / "clip.flac", ClipHashes(), list[Path]()

    def read(path: Path, *_: object, **__: object) -> bytes:
        reads.append(path)
        return path.read_bytes()

    monkeypatch.setattr("voxcpm_openai.cache.key.read_file", read)
    clip.write_bytes(b"one")
    first = hashes.get(clip)
    assert hashes.get(clip) == first
    assert len(reads) == 1
    other = tmp_path / "other"
    other.write_bytes(b"two")  # of the same size
    os.utime(other, ns=(0, clip.stat().st_mtime_ns))
    other.replace(clip)
    assert hashes.get(clip) != first
    with pytest.raises(OSError, match="missing"):
        hashes.get(tmp_path / "missing")
