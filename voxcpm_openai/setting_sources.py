"""Where the values of settings come from: the TOML file and the ``VOXCPM_*`` variables."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from voxcpm_openai.setting_types import TABLE, readers, setting_fields

PREFIX = "VOXCPM_"
CONFIG_VARIABLE = "VOXCPM_CONFIG"


@dataclass(frozen=True, slots=True)
class RawSettings:
    """The input of ``load_settings``: variables, and the TOML file's content and path."""

    environ: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, object] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A setting and where its value comes from: the variable, ``voxcpm.toml: key`` or default."""

    key: str
    variable: str
    name: str
    value: object
    origin: str
    help: str
    secret: bool
    """Whether the value must not be shown."""


def sources(kind: type, raw: RawSettings) -> list[Source]:
    """List the settings of a settings class: the value of each, and where it comes from."""
    table = getattr(kind, TABLE, "")
    content = raw.file.get(table, {}) if table else raw.file
    content = content if isinstance(content, Mapping) else {}
    found = []
    for one in setting_fields(kind):
        key = f"{table}.{one.name}" if table else one.name
        variable = PREFIX + key.upper().replace(".", "_").replace("-", "_")
        value, origin = one.default, "default"
        if raw.environ.get(variable, "").strip():  # an empty one counts as unset
            value, origin = raw.environ[variable], variable
        elif one.name in content:
            value, origin = content[one.name], f"{raw.path}: {key}"
        secret = one.metadata["secret"]
        secret = "key" in one.name if secret is None else secret
        help_text = str(one.metadata["help"])
        found.append(Source(key, variable, one.name, value, origin, help_text, secret))
    return found


def read_values(kind: type, raw: RawSettings) -> tuple[dict[str, Any], list[str]]:
    """Read the values that are set, and list what is wrong with them."""
    reader_of = readers(kind)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for source in sources(kind, raw):
        if source.origin == "default":
            continue
        try:
            values[source.name] = reader_of[source.name].deserialize(source.value)
        except ValidationError as error:
            shown = "***" if source.secret else repr(source.value)
            expected = " ".join(str(message) for message in error.messages)
            problems.append(f"{source.origin} = {shown}: {expected} {source.help}")
    return values, problems


def read_file(path: str, problems: list[str]) -> dict[str, object]:
    """Read the TOML file of settings; add to ``problems`` why it cannot be read."""
    try:
        return tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of a user who does not exist
        why = getattr(error, "strerror", None) or error
        problems.append(f"{CONFIG_VARIABLE} = {path!r}: cannot be read: {why}.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{CONFIG_VARIABLE} = {path!r}: is not TOML: {error}.")
    return {}
