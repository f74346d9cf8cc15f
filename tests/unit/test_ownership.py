"""Ownership fails closed: a call without a principal neither sees nor changes what a key owns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.errors import (
    InvalidRequest,
    Unauthorized,
    UnknownConsent,
    UnknownDictionary,
    UnknownVoice,
)
from voxcpm_openai.principal import ANONYMOUS, OPERATOR, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.library import VoiceLibrary
from voxcpm_openai.voices.store.candidates import CandidateStore, Design
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.dictionaries import DictionaryStore
from voxcpm_openai.voices.store.voices import VoiceStore

JANE = unnamed("jane's key").principal
JOHN = unnamed("john's key").principal
FLAC = b"fLaC and so on"
BUILT_IN = Voice("built-in", "Built in")
JANES = Voice("janes", "Of a plugin, but owned by Jane", owner=JANE.key_id)
RULES = [LexiconRule("Nguyen", alias="win")]
DESIGN = Design("Grandpa", "a calm old man")
SYNTHESIZED = [
    (Utterance((Segment("Hello."),), Voice("", ""), seed=7), Clip(np.zeros(800, np.float32), 8000))
]


class Stores:
    """A data folder with a voice, a consent, a candidate and a dictionary of one owner."""

    def __init__(self, root: Path, owner: Principal) -> None:
        self.data = DataFolder(root)
        self.store = VoiceStore(self.data, Settings())
        self.library = VoiceLibrary({BUILT_IN.id: BUILT_IN, JANES.id: JANES}, self.store)
        self.consents = ConsentStore(self.data, Settings())
        self.candidates = CandidateStore(self.data)
        self.consent = self.consents.add("c", FLAC, language="en", principal=owner).id
        self.voice = self.store.add("v", FLAC, principal=owner).id
        self.candidate = self.candidates.add(DESIGN, SYNTHESIZED, owner)[0].id
        self.dictionaries = DictionaryStore(self.data)
        self.dictionary = self.dictionaries.add("d", RULES, principal=owner).id

    def records(self) -> list[object]:
        """Return everything that is stored, of all owners."""
        data = self.data
        folders = (data.voices, data.consents, data.candidates, data.dictionaries)
        return [dict(folder.scan()) for folder in folders]


@dataclass(frozen=True)
class Call:
    """A call without a principal, and what must become of it: an error or a result."""

    method: Callable[..., object]
    call: Callable[[Stores], object]
    expected: object


CALLS = [
    Call(VoiceLibrary.ids, lambda s: s.library.ids(), [BUILT_IN.id]),
    Call(VoiceLibrary.all, lambda s: s.library.all(), [BUILT_IN]),
    Call(VoiceLibrary.get, lambda s: s.library.get(s.voice), UnknownVoice),
    Call(VoiceLibrary.get, lambda s: s.library.get(JANES.id), UnknownVoice),
    Call(VoiceLibrary.find, lambda s: s.library.find(s.voice), UnknownVoice),
    Call(VoiceLibrary.find, lambda s: s.library.find(s.voice.upper()), UnknownVoice),
    Call(VoiceLibrary.get_for_sample, lambda s: s.library.get_for_sample(s.voice), UnknownVoice),
    Call(VoiceLibrary.get_for_sample, lambda s: s.library.get_for_sample("built-in"), Unauthorized),
    Call(VoiceLibrary.get_added, lambda s: s.library.get_added(s.voice), UnknownVoice),
    Call(VoiceStore.voices, lambda s: s.store.voices(), []),
    Call(VoiceStore.find, lambda s: s.store.find(s.voice), None),
    Call(VoiceStore.add, lambda s: s.store.add("x", FLAC), Unauthorized),
    Call(VoiceStore.keep, lambda s: s.store.keep(s.candidate), UnknownVoice),
    Call(VoiceStore.update, lambda s: s.store.update(s.voice, name="x"), UnknownVoice),
    Call(VoiceStore.remove, lambda s: s.store.remove(s.voice), UnknownVoice),
    Call(ConsentStore.all, lambda s: s.consents.all(), []),
    Call(ConsentStore.get, lambda s: s.consents.get(s.consent), UnknownConsent),
    Call(ConsentStore.add, lambda s: s.consents.add("x", FLAC, language="en"), Unauthorized),
    Call(ConsentStore.rename, lambda s: s.consents.rename(s.consent, "x"), UnknownConsent),
    Call(ConsentStore.remove, lambda s: s.consents.remove(s.consent), UnknownConsent),
    Call(CandidateStore.add, lambda s: s.candidates.add(DESIGN, SYNTHESIZED), Unauthorized),
    Call(CandidateStore.clip, lambda s: s.candidates.clip(s.candidate), None),
    Call(DictionaryStore.all, lambda s: s.dictionaries.all(), []),
    Call(DictionaryStore.get, lambda s: s.dictionaries.get(s.dictionary), UnknownDictionary),
    Call(DictionaryStore.rules, lambda s: s.dictionaries.rules(s.dictionary), UnknownDictionary),
    Call(DictionaryStore.add, lambda s: s.dictionaries.add("x", RULES), Unauthorized),
    Call(DictionaryStore.remove, lambda s: s.dictionaries.remove(s.dictionary), UnknownDictionary),
    Call(DictionaryStore.lexicon, lambda s: len(s.dictionaries.lexicon()), 0),
]


def test_the_table_covers_every_public_method() -> None:
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (VoiceLibrary, VoiceStore, ConsentStore, CandidateStore, DictionaryStore)
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    assert {call.method.__qualname__ for call in CALLS} == methods


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method.__qualname__)
def test_a_call_without_a_principal_neither_sees_nor_changes_what_a_key_owns(
    call: Call, tmp_path: Path
) -> None:
    stores = Stores(tmp_path, JANE)
    before = stores.records()
    if isinstance(call.expected, type) and issubclass(call.expected, Exception):
        with pytest.raises(call.expected) as caught:
            call.call(stores)
        assert stores.voice not in str(caught.value).partition("There are")[2]
    else:
        assert call.call(stores) == call.expected
    assert stores.records() == before


def test_the_operators_voices_are_visible_without_a_principal_but_cannot_be_changed(
    tmp_path: Path,
) -> None:
    stores = Stores(tmp_path, OPERATOR)
    before = stores.records()
    assert stores.library.get(stores.voice).name == "v"
    with pytest.raises(InvalidRequest, match="belongs to the operator"):
        stores.store.update(stores.voice, name="x")
    with pytest.raises(InvalidRequest, match="belongs to the operator"):
        stores.store.remove(stores.voice)
    assert stores.consents.all() == []
    assert stores.candidates.clip(stores.candidate) is None
    with pytest.raises(UnknownVoice):
        stores.store.keep(stores.candidate)
    assert stores.records() == before


@pytest.mark.parametrize("principal", [ANONYMOUS, JOHN], ids=["anonymous", "another key"])
def test_another_principal_cannot_use_a_consent_in_an_own_voice(
    tmp_path: Path, principal: Principal
) -> None:
    stores = Stores(tmp_path, JANE)
    before = stores.records()
    with pytest.raises((InvalidRequest, Unauthorized)):
        stores.store.add("x", FLAC, principal=principal, consent=stores.consent)
    assert stores.records() == before


@pytest.mark.parametrize(
    ("principal", "views", "modifies"),
    [
        # Of what is owned by: the operator, Jane, John.
        (OPERATOR, (True, True, True), (True, True, True)),
        (JANE, (True, True, False), (False, True, False)),
        (JOHN, (True, False, True), (False, False, True)),
        (ANONYMOUS, (True, False, False), (False, False, False)),
    ],
    ids=["operator", "jane", "john", "anonymous"],
)
def test_what_a_principal_can_view_and_modify(
    principal: Principal, views: tuple[bool, ...], modifies: tuple[bool, ...]
) -> None:
    owners = (OPERATOR.owner, JANE.owner, JOHN.owner)
    assert tuple(map(principal.can_view, owners)) == views
    assert tuple(map(principal.can_modify, owners)) == modifies


def test_anonymous_cannot_own_anything() -> None:
    with pytest.raises(Unauthorized):
        _ = ANONYMOUS.owner


def test_a_keys_id_does_not_contain_the_key() -> None:
    assert JANE.key_id is not None
    assert "jane" not in JANE.key_id
    assert unnamed("jane's key").principal == JANE
    assert JOHN.key_id != JANE.key_id
