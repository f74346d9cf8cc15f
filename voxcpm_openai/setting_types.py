"""How a setting is declared and read: ``setting``, ``plugin_settings``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, dataclass_transform, get_type_hints

from marshmallow import ValidationError, fields, validate

TABLE = "__settings_table__"
"""The attribute of a settings class that holds its table in the TOML file, "" for the top level."""

T = TypeVar("T")


class WordList(fields.Field[tuple[str, ...]]):
    """A list of words: comma-separated in a variable, an array in TOML."""

    def _deserialize(self, value: object, *_: object, **__: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ValidationError("Not a list of words, or words separated by commas.")
        return tuple(word.strip() for word in value if word.strip())


def _expanded(value: object, message: str) -> Path:
    """Return the path of a text, with ``~`` expanded.  Raises ValidationError."""
    try:
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return Path(value).expanduser()
    except RuntimeError:  # there is no such user
        pass
    raise ValidationError(message)


def _holds(test: Callable[[], bool]) -> bool:
    """Return whether a test of a path holds; not if the path cannot even be looked at."""
    try:
        return test()
    except OSError:
        return False


class ExistingFolder(fields.Field[Path]):
    """A folder that exists; ``~`` is expanded."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        path = _expanded(value, message := "Not a folder that exists.")
        if not _holds(path.is_dir):
            raise ValidationError(message)
        return path.resolve()


class ExistingFile(fields.Field[Path]):
    """A file that exists; ``~`` is expanded, and links stay: they may lead to another file soon."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        path = _expanded(value, message := "Not a file that exists.")
        if not _holds(path.is_file):
            raise ValidationError(message)
        return path.absolute()


class CreatableFolder(fields.Field[Path]):
    """A folder that is created when it is first needed; ``~`` is expanded."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        path = _expanded(value, "Not a folder's path.")
        if _holds(path.exists) and not path.is_dir():
            raise ValidationError("Not a folder.")
        return path.absolute()


class StrictInteger(fields.Integer):
    """An integer; 1.5 in the TOML file is refused, not truncated."""

    def _validated(self, value: object) -> int:
        if isinstance(value, float):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class IntegerOrAuto(StrictInteger):
    """An integer, or the word ``auto``."""

    default_error_messages = {"invalid": "Not a valid integer, nor auto."}  # noqa: RUF012

    def _validated(self, value: object) -> Any:
        is_auto = isinstance(value, str) and value.strip() == "auto"
        return "auto" if is_auto else super()._validated(value)

    def _validate(self, value: object) -> None:
        if value != "auto":
            super()._validate(value)


class OnOffAuto(fields.Boolean):
    """``on``, ``off`` or ``auto``; all that means true or false is read, too."""

    default_error_messages = {"invalid": "Not on, off or auto."}  # noqa: RUF012

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and value.strip() == "auto":
            return "auto"
        return "on" if super()._deserialize(value, *args, **kwargs) else "off"


NUMBERS: dict[Any, Callable[..., fields.Field[Any]]] = {
    int: StrictInteger,
    float: fields.Float,
    int | Literal["auto"]: IntegerOrAuto,
}
"""What reads the numbers, by their annotation."""


def setting(
    default: Any,
    help_text: str,
    *,
    min: float | None = None,
    max: float | None = None,
    choices: Iterable[str] | None = None,
    pattern: str | None = None,
    creatable: bool = False,
    file: bool = False,
    secret: bool | None = None,
) -> Any:
    """Declare one setting, a field of a settings class.

    Its annotation says how it is read: ``bool``, ``int``, ``float``, ``int | Literal["auto"]``,
    ``Literal["auto", "on", "off"]``, ``str``, ``tuple[str, ...]`` (a list of words) or ``Path |
    None`` (a folder, which must exist unless it is ``creatable``, or with ``file`` a file that
    exists).  ``min`` and ``max`` bound numbers; ``choices`` or ``pattern`` (a regular expression
    that matches the whole) restrict texts.  The value of a ``secret`` is never
    shown; by default, that is a setting with "key" in its name.
    """
    rules: list[Callable[[Any], Any]] = []
    if min is not None or max is not None:
        rules.append(validate.Range(min, max))
    if choices is not None:
        rules.append(validate.OneOf(list(choices)))
    if pattern is not None:
        rules.append(validate.Regexp(rf"(?:{pattern})\Z"))
    metadata = {
        "help": help_text,
        "rules": rules,
        "creatable": creatable,
        "file": file,
        "secret": secret,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(setting,))
def plugin_settings(table: str) -> Callable[[type[T]], type[T]]:
    """Make a class a plugin's own settings: a frozen dataclass of ``setting`` fields.

    A field ``pitch`` of ``@plugin_settings("beep")`` is read from ``VOXCPM_BEEP_PITCH``, or from
    ``pitch`` in the table ``[beep]`` of the TOML file.
    """

    def decorate(cls: type[T]) -> type[T]:
        setattr(cls, TABLE, table)
        readers(made := dataclass(frozen=True)(cls))  # a wrong field is an error now
        return made

    return decorate


def setting_fields(kind: type) -> list[dataclasses.Field[Any]]:
    """List the fields of a settings class that are settings."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def readers(kind: type) -> dict[str, fields.Field[Any]]:
    """Return what reads each setting, by the name of its field.  Raises TypeError."""
    hints = get_type_hints(kind)
    return {f.name: _marshmallow_field(hints[f.name], f.metadata) for f in setting_fields(kind)}


def _marshmallow_field(hint: Any, metadata: Mapping[str, Any]) -> fields.Field[Any]:
    rules = metadata["rules"]
    if hint is bool:
        return fields.Boolean()
    if hint == Literal["auto", "on", "off"]:
        return OnOffAuto()
    if hint in NUMBERS:
        return NUMBERS[hint](validate=rules)
    if hint is str:
        return fields.String(validate=rules or validate.Length(min=1))
    if hint == tuple[str, ...]:
        return WordList()
    if hint == Path | None:
        existing = ExistingFile() if metadata["file"] else ExistingFolder()
        return CreatableFolder() if metadata["creatable"] else existing
    raise TypeError(f"a setting cannot be of the type {hint}; see `setting`")
