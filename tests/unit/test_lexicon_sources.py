"""The sources of a request's lexicon: the server's file, the voice, the key and the request."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import TONE
from voxcpm_openai import Voice
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import InvalidRequest, PluginError, SettingsError, UnknownDictionary
from voxcpm_openai.lexicons import LexiconSources
from voxcpm_openai.principal import ANONYMOUS, OPERATOR, Principal
from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.dictionaries import DictionaryStore

JANE, JOHN = unnamed("jane's key").principal, unnamed("john's key").principal
PLAIN = Voice("plain", "Plain")


def rules(**aliases: str) -> list[LexiconRule]:
    return [LexiconRule(text, alias=alias) for text, alias in aliases.items()]


def opened(folder: Path, server: str = "") -> LexiconSources:
    path = folder / "lexicon.toml"
    path.write_text(server)
    return LexiconSources(Settings(lexicon=path), DictionaryStore(DataFolder(folder / "data")))


def store_of(folder: Path) -> DictionaryStore:
    return DictionaryStore(DataFolder(folder / "data"))


def said(
    sources: LexiconSources,
    text: str,
    voice: Voice = PLAIN,
    request: dict[str, object] | None = None,
    principal: Principal = JANE,
) -> str:
    return sources.lexicon(voice, request, principal).apply(text, Marks(), False)


def test_the_request_wins_over_the_key_the_voice_and_the_server(tmp_path: Path) -> None:
    sources = opened(tmp_path, '[alias]\na = "server"\nb = "server"\nc = "server"\nd = "server"\n')
    store_of(tmp_path).add("names", rules(c="key", d="key"), principal=JANE)
    voice = Voice("v", "V", lexicon={"b": "voice", "c": "voice", "d": "voice"})
    assert said(sources, "a b c d", voice, {"d": "request"}) == "server voice key request"
    assert said(sources, "a b c d") == "server server key key"
    assert said(sources, "a b c d", principal=JOHN) == "server server server server"


def test_another_voice_of_the_same_id_has_its_own_rules(tmp_path: Path) -> None:
    sources = opened(tmp_path)
    for alias in ("x", "y"):
        assert said(sources, "a", Voice("v", "V", lexicon={"a": alias})) == alias


def test_wrong_rules_of_a_request_name_the_field(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'lexicon' is wrong: 'x': must be") as caught:
        said(opened(tmp_path), "x", request={"x": 7})
    assert caught.value.param == "lexicon"


def test_a_wrong_file_stops_the_start_with_the_file_and_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "names.toml"
    path.write_text('[alias]\nx = ""\n')
    settings = load_settings({"VOXCPM_LEXICON": str(path)})
    with pytest.raises(SettingsError, match=r"VOXCPM_LEXICON = '.*names.toml': \[alias\] 'x'"):
        AppContext.open(replace(TONE, lexicon=settings.lexicon, data_dir=tmp_path))


def test_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"VOXCPM_LEXICON = .*Not a file that exists"):
        load_settings({"VOXCPM_LEXICON": str(tmp_path)})


@pytest.mark.parametrize(
    ("lexicon", "problem"),
    [
        ('[lexicon]\nNguyen = ""\n', r"'wren': lexicon: 'Nguyen': 'alias' must have"),
        ('[lexicon]\nNguyen = {arpabet = "x"}\n', "'wren': lexicon: 'Nguyen': there is no field"),
        ("[lexicon]\nNguyen = 7\n", r"wren.toml: \[lexicon\] 'Nguyen' = 7 is neither"),
        ('lexicon = "x"\n', "wren.toml: lexicon is a table"),
    ],
)
def test_a_wrong_lexicon_of_a_voice_stops_the_start(
    tmp_path: Path, lexicon: str, problem: str
) -> None:
    (tmp_path / "wren.toml").write_text(f"{lexicon}[options.hibari]\npitch = 0.8\n")
    with pytest.raises(PluginError, match=problem):
        load_registry(Settings(voices_dir=tmp_path))


def test_a_voice_file_has_a_lexicon(tmp_path: Path) -> None:
    text = '[lexicon]\nNguyen = "win"\ngif = {ipa = "dʒɪf"}\n[options.hibari]\npitch = 0.8\n'
    (tmp_path / "wren.toml").write_text(text)
    voice = load_registry(Settings(voices_dir=tmp_path)).voices["wren"]
    assert voice.lexicon == {"Nguyen": "win", "gif": {"ipa": "dʒɪf"}}
    assert said(opened(tmp_path), "Nguyen", voice) == "win"


def test_dictionaries_apply_in_the_order_in_which_they_were_stored(tmp_path: Path) -> None:
    sources, store = opened(tmp_path), store_of(tmp_path)
    ids = [store.add(f"{n}", rules(a=f"x{n}"), principal=JANE).id for n in range(12)]
    assert [one.id for one in store.all(JANE)] == ids
    assert said(sources, "a") == "x11"
    store.remove(ids.pop(), JANE)
    assert said(sources, "a") == "x10"


def test_two_stores_on_one_folder_see_each_others_changes_at_once(tmp_path: Path) -> None:
    sources = [opened(tmp_path), opened(tmp_path)]
    store = store_of(tmp_path)
    for number in range(5):
        added = store.add("names", rules(a=f"x{number}"), principal=JANE)
        assert [said(one, "a") for one in sources] == [f"x{number}"] * 2
        store.remove(added.id, JANE)
        assert [said(one, "a") for one in sources] == ["a", "a"]


def test_rules_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = opened(tmp_path)
    store_of(tmp_path).add("names", rules(a="x"), principal=JANE)
    assert said(sources, "a") == "x"
    monkeypatch.setattr(DictionaryStore, "_read", None)
    assert said(sources, "a") == "x"


@pytest.mark.parametrize(
    ("owner", "applies"), [(JANE, {JANE}), (OPERATOR, {OPERATOR})], ids=["a key's", "operator's"]
)
def test_a_dictionary_applies_to_the_requests_of_its_owner_only(
    tmp_path: Path, owner: Principal, applies: set[Principal]
) -> None:
    sources = opened(tmp_path)
    store_of(tmp_path).add("names", rules(a="x"), principal=owner)
    for principal in (JANE, JOHN, OPERATOR, ANONYMOUS):
        expected = "x" if principal in applies else "a"
        assert said(sources, "a", principal=principal) == expected
    assert sources.lexicon(PLAIN).apply("a", Marks(), False) == "a"


def test_a_broken_dictionary_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sources, store = opened(tmp_path), store_of(tmp_path)
    broken = store.add("broken", rules(a="x"), principal=JANE)
    store.add("whole", rules(b="y"), principal=JANE)
    DataFolder(tmp_path / "data").dictionaries.content(broken.id).write_text('[{"text": ""}]')
    assert said(sources, "a b") == "a y"
    assert "rules.json cannot be read" in caplog.text
    with pytest.raises(UnknownDictionary):
        store.rules(broken.id, JANE)


def test_the_lookup_is_cheap(tmp_path: Path) -> None:
    sources, store = opened(tmp_path), store_of(tmp_path)
    for number in range(3):
        names = {f"name{number}x{n}": "x" for n in range(1000)}
        store.add("names", rules(**names), principal=JANE)
    said(sources, "a")
    before = time.perf_counter()
    for _ in range(20):
        sources.lexicon(PLAIN, {"a": "b"}, JANE)
    assert time.perf_counter() - before < 0.4  # 5 ms where nothing else runs
