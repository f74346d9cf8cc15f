"""API keys: the forms of their file, and reloading after a change."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from tests.support.clock import Clock
from voxcpm_openai.accounts.key_file import read_keys
from voxcpm_openai.accounts.keyring import Keyring, warnings
from voxcpm_openai.accounts.keys import KeyLimits, new_key, unnamed
from voxcpm_openai.errors import SettingsError
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings

HASH = "sha256:" + hashlib.sha256(b"jane's key").hexdigest()
SECRET = "the-secret"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def ring(path: Path, *keys: str) -> Keyring:
    return Keyring(Settings(api_keys=keys, api_keys_file=path))


def test_a_file_of_lines_has_keys_with_and_without_names(tmp_path: Path) -> None:
    text = f"\ufeff# ours\n\njane: {HASH.upper().replace('SHA', 'sha')}\n"
    keys = ring(written(tmp_path / "keys", f"{text}  john.d: a key with spaces  \nbare=key:x\n"))
    found, bare = keys.find(b"jane's key"), keys.find(b"bare=key:x")
    assert found is not None
    assert (found.name, found.principal) == ("jane", unnamed("jane's key").principal)
    assert bare is not None
    assert bare.name == f"key-{bare.id[:8]}"
    assert keys.find(b"a key with spaces") == keys.named("john.d")
    assert [keys.find(other) for other in (b"jane", b"# ours", b"", HASH.encode())] == [None] * 4


def test_a_toml_file_has_operators_and_limits(tmp_path: Path) -> None:
    keys = ring(
        written(
            tmp_path / "keys.toml",
            f"[keys.jane]\nkey = '{HASH}'\nrequests_per_minute = 60\nstreams = 0\n"
            "[keys.'the operator']\nkey = 'x y'\noperator = true\n",
        )
    )
    jane, operator = keys.find(b"jane's key"), keys.find(b"x y")
    assert jane is not None
    assert jane.limits == KeyLimits(requests_per_minute=60, streams=0)
    assert operator is not None
    assert operator.principal == OPERATOR
    assert keys.get(jane.id) == jane


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("k", "", "there are none"),
        ("k", "# only this\n", "there are none"),
        ("k", f"a: {SECRET}\nb: {SECRET}\n", "'a' and 'b' have the same key"),
        ("k", f"a: {SECRET}\na: {SECRET}2\n", "the name 'a' is there twice"),
        ("k", f"x\njohn's: {SECRET}\n", "line 2: a name has letters"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}", "not TOML"),
        ("k.toml", f"keys = ['{SECRET}']", "tables of the form"),
        ("k.toml", f"api = '{SECRET}'\n[keys.a]\nkey = 'x'", "tables of the form"),
        ("k.toml", f"[keys]\na = '{SECRET}'", "a key is a table"),
        ("k.toml", f"[keys.'a\\nb']\nkey = '{SECRET}'", "a name has letters"),
        ("k.toml", "[keys.a]\noperator = true", "'a' needs a 'key'"),
        ("k.toml", "[keys.a]\nkey = ' '", "'a' needs a 'key'"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}'\noperator = 1", "must be true or false"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}'\nstreams = -1", "'streams' of 'a' must be"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}'\nstreams = 1.5", "'streams' of 'a' must be"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}'\nstreams = true", "'streams' of 'a' must be"),
        ("k.toml", f"[keys.a]\nkey = '{SECRET}'\nrpm = 1", "'a' has 'rpm'; there are"),
    ],
)
def test_a_wrong_file_is_refused_and_no_key_is_shown(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        ring(written(tmp_path / name, text))
    assert SECRET not in str(caught.value)


def test_a_folder_and_a_file_that_is_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "binary", tmp_path / "missing"):
        with pytest.raises(SettingsError, match="cannot be read"):
            read_keys(path)


def test_hashed_keys_are_taken_from_the_setting_too() -> None:
    keys = Keyring(Settings(api_keys=(HASH,)))
    assert keys.find(b"jane's key") is not None
    assert keys.find(HASH.encode()) is None
    assert keys.required
    assert not Keyring(Settings()).required


def test_the_file_names_a_key_of_the_setting(tmp_path: Path) -> None:
    keys = ring(written(tmp_path / "keys", "jane: one\n"), "one", "two")
    assert [key and key.name for key in map(keys.find, (b"one", b"two"))] == [
        "jane",
        f"key-{hashlib.sha256(b'two').hexdigest()[:8]}",
    ]


def test_a_change_of_the_file_takes_effect_within_a_second(tmp_path: Path, clock: Clock) -> None:
    path = written(tmp_path / "keys", "jane: one\n")
    keys = ring(path)
    written(path, "jane: other\n")
    assert keys.find(b"one") is not None  # it was checked just now
    clock.now += 1
    assert keys.find(b"one") is None
    assert keys.find(b"other") is not None


def test_a_file_behind_a_changed_link_is_reloaded(tmp_path: Path, clock: Clock) -> None:
    """Kubernetes updates mounted secrets this way, and deletes the previous folder."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        written(tmp_path / number / "keys", f"jane: key {number}\n")
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "keys").symlink_to("data/keys")
    keys = ring(tmp_path / "keys")
    (tmp_path / "data").unlink()
    (tmp_path / "data").symlink_to("2")
    (tmp_path / "1" / "keys").unlink()
    clock.now += 1
    assert keys.find(b"key 2") is not None


@pytest.mark.parametrize("broken", ["jane: same\njohn: same\n", "", None])
def test_a_broken_file_keeps_the_keys_and_is_logged_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    path = written(tmp_path / "keys", "jane: one\n")
    keys = ring(path)
    path.unlink() if broken is None else written(path, broken)
    for _ in range(3):
        clock.now += 1
        assert keys.find(b"one") is not None
    errors = [one.message for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].startswith("the API keys stay as they were: ")
    written(path, "jane: two\n")
    clock.now += 1
    assert keys.find(b"one") is None
    assert keys.find(b"two") is not None


def test_a_file_that_every_user_can_read_is_a_warning(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "keys", "jane: one\n")
    keys = ring(path)
    assert warnings(path) == []
    path.chmod(0o644)
    clock.now += 1
    assert keys.find(b"one") is not None
    expected = [f"every user of this machine can read the API keys in {path}: chmod o-r {path}"]
    assert warnings(path) == [one.message for one in caplog.records] == expected


def test_new_keys_differ_and_are_long() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert len(new_key()) > 40
