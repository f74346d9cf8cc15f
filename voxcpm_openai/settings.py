"""Settings: defaults < TOML file (``VOXCPM_CONFIG``) < ``VOXCPM_*`` variables.

The server's own settings are ``Settings``.  A plugin declares settings of its own with
``plugin_settings`` and ``setting``, and reads them with ``Settings.of``.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform, get_type_hints

from marshmallow import ValidationError, fields, validate

from voxcpm_openai.errors import SettingsError

logger = logging.getLogger(__name__)

PREFIX = "VOXCPM_"
CONFIG_VARIABLE = "VOXCPM_CONFIG"
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


class ExistingFolder(fields.Field[Path]):
    """A folder that exists; ``~`` is expanded."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        if not isinstance(value, str) or not (path := Path(value).expanduser()).is_dir():
            raise ValidationError("Not a folder that exists.")
        return path.resolve()


class CreatableFolder(fields.Field[Path]):
    """A folder that is created when it is first needed; ``~`` is expanded."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        if not isinstance(value, str) or not value.strip():
            raise ValidationError("Not a folder's path.")
        path = Path(value).expanduser()
        if path.exists() and not path.is_dir():
            raise ValidationError("Not a folder.")
        return path.absolute()


class StrictInteger(fields.Integer):
    """An integer; 1.5 in the TOML file is refused, not truncated."""

    def _validated(self, value: object) -> int:
        if isinstance(value, float):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def setting(
    default: Any,
    help_text: str,
    *,
    min: float | None = None,
    max: float | None = None,
    choices: Iterable[str] | None = None,
    pattern: str | None = None,
    creatable: bool = False,
) -> Any:
    """Declare one setting, a field of a settings class.

    Its annotation says how it is read: ``bool``, ``int``, ``float``, ``str``,
    ``tuple[str, ...]`` (a list of words) or ``Path | None`` (a folder, which must exist unless it
    is ``creatable``).  ``min`` and ``max`` bound numbers; ``choices`` or ``pattern`` (a regular
    expression that matches the whole) restrict texts.
    """
    rules: list[Callable[[Any], Any]] = []
    if min is not None or max is not None:
        rules.append(validate.Range(min, max))
    if choices is not None:
        rules.append(validate.OneOf(list(choices)))
    if pattern is not None:
        rules.append(validate.Regexp(rf"(?:{pattern})\Z"))
    metadata = {"help": help_text, "rules": rules, "creatable": creatable}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(setting,))
def plugin_settings(table: str) -> Callable[[type[T]], type[T]]:
    """Make a class a plugin's own settings: a frozen dataclass of ``setting`` fields.

    A field ``pitch`` of ``@plugin_settings("beep")`` is read from ``VOXCPM_BEEP_PITCH``, or from
    ``pitch`` in the table ``[beep]`` of the TOML file.
    """

    def decorate(cls: type[T]) -> type[T]:
        setattr(cls, TABLE, table)
        _readers(made := dataclass(frozen=True)(cls))  # a wrong field is an error now
        return made

    return decorate


@dataclass(frozen=True, slots=True)
class RawSettings:
    """The input of ``load_settings``: variables, and the TOML file's content and path."""

    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)
    file: Mapping[str, object] = dataclasses.field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's own settings, read once at the start by ``load_settings``."""

    host: str = setting(
        "127.0.0.1",
        "The address to listen on. Beyond loopback, `api_keys` or `allow_open` is required.",
    )
    port: int = setting(7861, "The port to listen on.", min=1, max=65535)
    workers: int = setting(
        1, "Processes. Each loads the engine: one per GPU, else one.", min=1, max=256
    )
    max_streams: int = setting(
        64, "Concurrent speech requests per worker; one more is a 503.", min=1, max=4096
    )
    graceful_timeout: int = setting(
        30, "Seconds that running streams get to finish when the server stops.", min=1, max=86400
    )
    api_keys: tuple[str, ...] = setting(
        (), "Keys that clients may send, comma-separated. None: no key is needed."
    )
    allow_open: bool = setting(False, "Listen beyond loopback without API keys.")
    public_discovery: bool = setting(True, "List models and voices without a key.")
    cors_origins: tuple[str, ...] = setting(
        (), "Origins whose web pages may call the server, comma-separated; `*` for all."
    )
    strict: bool = setting(False, "Refuse request fields that do not exist, with a 400.")
    engine: str = setting(
        "auto", "The engine to run; `auto`: the available one of the highest priority."
    )
    threads: int = setting(0, "CPU threads for the engine. 0: one per core.", min=0, max=1024)
    default_voice: str = setting("alloy", "The voice of requests that name none.")
    max_input_chars: int = setting(
        4096, "The longest `input`, in characters.", min=1, max=10_000_000
    )
    voices_dir: Path | None = setting(
        None, "A folder of your own voices: `<id>.toml`, with `<id>.flac` for a clip."
    )
    data_dir: Path | None = setting(
        None,
        "Where added voices are kept; created if needed. Default: `$XDG_DATA_HOME/voxcpm-openai`.",
        creatable=True,
    )
    max_voices: int = setting(
        100, "How many voices may be added; one more is a 400.", min=0, max=100_000
    )
    require_consent: bool = setting(
        True, "Accept a voice over HTTP only with the recording of a consent."
    )
    plugins_dir: Path | None = setting(None, "A folder of your own plugins: one `.py` file each.")
    disabled_plugins: tuple[str, ...] = setting((), "Plugins to disable, by name, comma-separated.")
    log_level: str = setting(
        "info",
        "How much is logged: `debug`, `info`, `warning` or `error`.",
        choices=("debug", "info", "warning", "error"),
    )
    raw: RawSettings = dataclasses.field(default_factory=RawSettings, repr=False, compare=False)

    def of(self, kind: type[T]) -> T:
        """Return a plugin's own settings.  Raises SettingsError, naming every wrong value."""
        values, problems = read_values(kind, self.raw)
        if problems:
            raise SettingsError("\n".join(problems))
        return kind(**values)

    @property
    def data_folder(self) -> Path:
        """The folder of added voices, whether it exists yet or not."""
        return self.data_dir or _xdg("XDG_DATA_HOME", ".local/share")

    @property
    def cache_folder(self) -> Path:
        """The folder of cached files."""
        return _xdg("XDG_CACHE_HOME", ".cache")


@dataclass(frozen=True, slots=True)
class Source:
    """A setting and where its value comes from: the variable, ``voxcpm.toml: key`` or default."""

    key: str
    variable: str
    name: str
    value: object
    origin: str
    help: str


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the server's settings, from ``os.environ`` by default.  Raises SettingsError."""
    settings, problems = read_settings(environ)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def read_settings(environ: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """Read the server's settings and list the problems; a wrong value keeps its default."""
    problems: list[str] = []
    environ = os.environ if environ is None else environ
    path = environ.get(CONFIG_VARIABLE, "")
    file = _read_file(Path(path).expanduser(), problems) if path else {}
    values, wrong = read_values(Settings, raw := RawSettings(environ, file, path))
    return Settings(**values, raw=raw), problems + wrong


def sources(kind: type, raw: RawSettings) -> list[Source]:
    """List the settings of a settings class: the value of each, and where it comes from."""
    table = getattr(kind, TABLE, "")
    content = raw.file.get(table, {}) if table else raw.file
    content = content if isinstance(content, Mapping) else {}
    found = []
    for field in _fields(kind):
        key = f"{table}.{field.name}" if table else field.name
        variable = PREFIX + key.upper().replace(".", "_").replace("-", "_")
        value, origin = field.default, "default"
        if variable in raw.environ:
            value, origin = raw.environ[variable], variable
        elif field.name in content:
            value, origin = content[field.name], f"{raw.path}: {key}"
        found.append(Source(key, variable, field.name, value, origin, str(field.metadata["help"])))
    return found


def unknown_keys(kinds: Iterable[type], raw: RawSettings) -> list[str]:
    """List the keys of the TOML file that no settings class has; log unknown variables."""
    known = [source for kind in {Settings, *kinds} for source in sources(kind, RawSettings())]
    variables = {source.variable for source in known} | {CONFIG_VARIABLE}
    for name in sorted(raw.environ):
        if name.startswith(PREFIX) and name not in variables:
            logger.warning("%s is not a setting; it is ignored", name)
    keys = {source.key for source in known}
    tables = {getattr(kind, TABLE, "") for kind in kinds}
    used: dict[str, object] = {}
    for key, value in raw.file.items():
        if key in tables and isinstance(value, Mapping):
            used |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            used[key] = value
    return [
        f"{raw.path}: {key} = {value!r}: there is no such setting; similar are "
        f"{', '.join(difflib.get_close_matches(key, keys)) or 'none'}."
        for key, value in used.items()
        if key not in keys
    ]


def _fields(kind: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def _readers(kind: type) -> dict[str, fields.Field[Any]]:
    hints = get_type_hints(kind)
    return {f.name: _marshmallow_field(hints[f.name], f.metadata) for f in _fields(kind)}


def read_values(kind: type, raw: RawSettings) -> tuple[dict[str, Any], list[str]]:
    """Read the values that are set, and list what is wrong with them."""
    readers = _readers(kind)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for source in sources(kind, raw):
        if source.origin == "default":
            continue
        try:
            values[source.name] = readers[source.name].deserialize(source.value)
        except ValidationError as error:
            shown = "***" if "key" in source.name else repr(source.value)
            expected = " ".join(str(message) for message in error.messages)
            problems.append(f"{source.origin} = {shown}: {expected} {source.help}")
    return values, problems


def _marshmallow_field(hint: Any, metadata: Mapping[str, Any]) -> fields.Field[Any]:
    rules = metadata["rules"]
    if hint is bool:
        return fields.Boolean()
    if hint is int:
        return StrictInteger(validate=rules)
    if hint is float:
        return fields.Float(validate=rules)
    if hint is str:
        return fields.String(validate=rules or validate.Length(min=1))
    if hint == tuple[str, ...]:
        return WordList()
    if hint == Path | None:
        return CreatableFolder() if metadata["creatable"] else ExistingFolder()
    raise TypeError(f"a setting cannot be of the type {hint}; see `setting`")


def _xdg(variable: str, default: str) -> Path:
    """Return our folder as XDG has it: a path that is not absolute counts as unset."""
    root = Path(os.environ.get(variable, ""))
    return (root if root.is_absolute() else Path.home() / default) / "voxcpm-openai"


def _read_file(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{CONFIG_VARIABLE} = {str(path)!r}: cannot be read: {error.strerror}.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{CONFIG_VARIABLE} = {str(path)!r}: is not TOML: {error}.")
    return {}
