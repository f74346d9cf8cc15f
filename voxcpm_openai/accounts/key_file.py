"""The file of the API keys (``VOXCPM_API_KEYS_FILE``): TOML, or one key per line.

Error messages never quote a key, nor a line that may contain one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from voxcpm_openai.accounts.keys import NAME, NAME_RULE, ApiKey, KeyLimits, digest_of, unnamed
from voxcpm_openai.errors import SettingsError
from voxcpm_openai.files import read_file

MAX_BYTES = 16 * 1024 * 1024
LIMITS = tuple(field.name for field in fields(KeyLimits))
OPTIONS = ("key", "operator", *LIMITS)
MAX_LIMIT = 10**9
"""The largest limit."""


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file, at least one.  Raises SettingsError."""
    try:
        text = read_file(path, MAX_BYTES).decode("utf-8-sig")
        found = list(_of_toml(text) if path.suffix == ".toml" else _of_lines(text))
        _check(found)
    except UnicodeDecodeError:
        raise SettingsError(f"the keys in {path} cannot be read: it is not UTF-8.") from None
    except OSError as error:
        why = error.strerror or error
        raise SettingsError(f"the keys in {path} cannot be read: {why}.") from error
    except ValueError as error:
        raise SettingsError(f"the keys in {path} are wrong: {error}") from error
    return tuple(found)


def _check(keys: list[ApiKey]) -> None:
    if not keys:
        raise ValueError("there are none.")
    seen: dict[str, str] = {}
    for key in keys:
        if key.digest in seen:
            raise ValueError(f"{seen[key.digest]!r} and {key.name!r} have the same key.")
        if key.name in seen.values():
            raise ValueError(f"the name {key.name!r} is there twice.")
        seen[key.digest] = key.name


def _of_lines(text: str) -> Iterator[ApiKey]:
    """Read ``name: key`` or ``key``, one per line; ``#`` begins a comment line."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, key = line.partition(": ")
        if not colon:
            yield unnamed(line)
        elif not NAME.fullmatch(name := name.rstrip()):
            raise ValueError(f"line {number}: {NAME_RULE}")
        else:
            yield ApiKey(digest_of(key.strip()), name)


def _of_toml(text: str) -> Iterator[ApiKey]:
    """Read a table ``[keys.NAME]`` for each key."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message may quote a character, never more.
        raise ValueError(f"it is not TOML: {error}.") from None
    tables = content.pop("keys", {})
    if content or not isinstance(tables, dict):
        raise ValueError("there are tables of the form [keys.NAME], and nothing else.")
    for name, table in tables.items():
        if not isinstance(table, dict) or not NAME.fullmatch(name):
            raise ValueError(f"a key is a table [keys.NAME], and {NAME_RULE}")
        yield _of_table(name, table)


def _of_table(name: str, table: Mapping[str, object]) -> ApiKey:
    if unknown := set(table) - set(OPTIONS):
        raise ValueError(f"{name!r} has {min(unknown)!r}; there are: {', '.join(OPTIONS)}.")
    key, operator = table.get("key"), table.get("operator", False)
    if not (isinstance(key, str) and key.strip()):
        raise ValueError(f"{name!r} needs a 'key', plain or as \"sha256:...\".")
    if not isinstance(operator, bool):
        raise ValueError(f"'operator' of {name!r} must be true or false.")  # noqa: TRY004
    limits: dict[str, int] = {}
    for option in LIMITS:
        value = table.get(option)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LIMIT:
            raise ValueError(f"{option!r} of {name!r} must be a whole number; 0 is unlimited.")
        limits[option] = value
    return ApiKey(digest_of(key.strip()), name, operator, KeyLimits(**limits))
