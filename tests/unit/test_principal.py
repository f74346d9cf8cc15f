"""Who may see and change what belongs to whom; nobody in particular may change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.errors import (
    InvalidRequest,
    Unauthorized,
    UnknownConsent,
    UnknownVoice,
)
from voxcpm_openai.principal import ANONYMOUS, OPERATOR, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.voices import VoiceStore

JANE, JOHN = unnamed("jane's key").principal, unnamed("john's key").principal


@pytest.mark.parametrize(
    ("who", "owner", "view", "modify"),
    [
        (OPERATOR, None, True, True),
        (OPERATOR, JANE.key_id, True, True),
        (JANE, None, True, False),
        (JANE, JANE.key_id, True, True),
        (JANE, JOHN.key_id, False, False),
        (ANONYMOUS, None, True, False),
        (ANONYMOUS, JANE.key_id, False, False),
    ],
)
def test_what_a_principal_may_do(
    who: Principal, owner: str | None, view: bool, modify: bool
) -> None:
    assert (who.can_view(owner), who.can_modify(owner)) == (view, modify)


def test_what_somebody_adds_is_theirs_and_anonymous_adds_nothing() -> None:
    assert OPERATOR.owner is None
    assert JANE.owner == JANE.key_id
    with pytest.raises(Unauthorized):
        _ = ANONYMOUS.owner


def test_a_key_is_known_by_32_digits_that_do_not_tell_it() -> None:
    assert JANE.key_id is not None
    assert len(JANE.key_id) == 32
    assert set(JANE.key_id) <= set("0123456789abcdef")
    assert unnamed("jane's key").principal == JANE
    assert JANE.key_id != JOHN.key_id


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


@pytest.fixture
def store(data: DataFolder) -> VoiceStore:
    return VoiceStore(data, Settings())


VOICE_CALLS: list[Callable[[VoiceStore, str], object]] = [
    lambda store, id_: store.update(id_, name="other"),
    lambda store, id_: store.remove(id_),
]


@pytest.mark.parametrize("call", VOICE_CALLS, ids=["update", "remove"])
def test_a_call_without_a_principal_changes_no_voice(
    store: VoiceStore, call: Callable[[VoiceStore, str], object]
) -> None:
    hers = store.add("Hers", b"clip", principal=JANE).id
    everybodys = store.add("Everybody's", b"clip", principal=OPERATOR).id
    with pytest.raises(UnknownVoice):
        call(store, hers)
    with pytest.raises(InvalidRequest):
        call(store, everybodys)
    assert {voice.name for voice in store.voices(OPERATOR)} == {"Hers", "Everybody's"}


def test_a_call_without_a_principal_adds_nothing(store: VoiceStore, data: DataFolder) -> None:
    with pytest.raises(Unauthorized):
        store.add("Nobody's", b"clip")
    with pytest.raises(Unauthorized):
        ConsentStore(data, Settings()).add("Nobody's", b"clip", language="en")
    assert store.voices(OPERATOR) == []


def test_a_call_without_a_principal_sees_no_consent(data: DataFolder) -> None:
    consents = ConsentStore(data, Settings())
    hers = consents.add("Hers", b"clip", principal=JANE, language="en").id
    assert consents.all() == []
    for call in (consents.get, consents.remove):
        with pytest.raises(UnknownConsent):
            call(hers)
    assert [consent.id for consent in consents.all(OPERATOR)] == [hers]


def test_the_operator_changes_everybodys_voices(store: VoiceStore) -> None:
    hers = store.add("Hers", b"clip", principal=JANE).id
    assert store.update(hers, OPERATOR, name="Renamed").name == "Renamed"
    store.remove(hers, OPERATOR)
    assert store.voices(OPERATOR) == []


def test_a_change_of_one_value_leaves_the_others(store: VoiceStore) -> None:
    id_ = store.add("Jane", b"clip", principal=OPERATOR, description="Warm.", transcript="").id
    assert store.update(id_, OPERATOR, name="Joan").description == "Warm."
    changed = store.update(id_, OPERATOR, description="")
    assert (changed.name, changed.description, changed.transcript) == ("Joan", "", None)
    assert store.find(id_) == changed
