"""What an operator can set: defaults < TOML file (``VOXCPM_CONFIG``) < ``VOXCPM_*`` variables."""

from __future__ import annotations

import dataclasses
import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate

from voxcpm_openai.errors import SettingsError

logger = logging.getLogger(__name__)

PREFIX = "VOXCPM_"
CONFIG_VARIABLE = "VOXCPM_CONFIG"


class Words(fields.Field[tuple[str, ...]]):
    """A list of words: comma-separated in a variable, an array in TOML."""

    def _deserialize(self, value: object, *_: object, **__: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ValidationError("Not a list of words, or words separated by commas.")
        return tuple(word.strip() for word in value if word.strip())


class Folder(fields.Field[Path]):
    """A folder that exists; ``~`` is understood."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        if not isinstance(value, str) or not (path := Path(value).expanduser()).is_dir():
            raise ValidationError("Not a folder that exists.")
        return path.resolve()


class Place(fields.Field[Path]):
    """A folder that is made when it is first needed; ``~`` is understood."""

    def _deserialize(self, value: object, *_: object, **__: object) -> Path:
        if not isinstance(value, str) or not value.strip():
            raise ValidationError("Not a folder's path.")
        path = Path(value).expanduser()
        if path.exists() and not path.is_dir():
            raise ValidationError("Not a folder.")
        return path.absolute()


class Whole(fields.Integer):
    """A whole number; 1.5 in the file is refused, not cut."""

    def _validated(self, value: object) -> int:
        if isinstance(value, float):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def _whole(low: int, high: int) -> Whole:
    return Whole(validate=validate.Range(low, high))


def setting(field: fields.Field[Any], help_text: str, default: object) -> Any:
    """Declare one setting: how it is read, what it is for, what it is when nobody sets it."""
    return dataclasses.field(default=default, metadata={"field": field, "help": help_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read once at the start by ``load_settings`` and never changed."""

    host: str = setting(
        fields.String(validate=validate.Length(min=1)),
        "The address to listen on. Beyond loopback, `api_keys` or `allow_open` is required.",
        "127.0.0.1",
    )
    port: int = setting(_whole(1, 65535), "The port to listen on.", 7861)
    workers: int = setting(
        _whole(1, 256), "Processes. Each loads the engine: one for each GPU, else one.", 1
    )
    max_streams: int = setting(
        _whole(1, 4096), "Speech requests that one worker carries; one more is a 503.", 64
    )
    graceful_timeout: int = setting(
        _whole(1, 86400), "Seconds that running streams get to finish when the server stops.", 30
    )
    api_keys: tuple[str, ...] = setting(
        Words(), "Keys that clients may send, comma-separated. None: everybody is let in.", ()
    )
    allow_open: bool = setting(
        fields.Boolean(), "Listen beyond loopback although there are no API keys.", False
    )
    public_discovery: bool = setting(
        fields.Boolean(), "Let models and voices be listed without a key.", True
    )
    cors_origins: tuple[str, ...] = setting(
        Words(), "Origins whose web pages may call the server, comma-separated; `*` for all.", ()
    )
    strict: bool = setting(
        fields.Boolean(), "Refuse request fields that would be ignored, with a 400.", False
    )
    engine: str = setting(
        fields.String(validate=validate.Length(min=1)),
        "The engine to run, or `auto`: voxcpm where it can run, else hibari.",
        "auto",
    )
    threads: int = setting(
        _whole(0, 1024), "CPU threads for the engine. 0: as many as there are cores.", 0
    )
    model: str = setting(
        fields.String(validate=validate.Length(min=1)),
        "The voxcpm engine's checkpoint: a folder, or a hub id that `voxcpm-openai pull` fetched.",
        "openbmb/VoxCPM1.5",
    )
    dtype: str = setting(
        fields.String(validate=validate.OneOf(["auto", "float32", "bfloat16", "int8"])),
        "The voxcpm engine's numbers: `float32`, `bfloat16`, or on a CPU `int8`. "
        "`auto`: bfloat16 on a GPU and on a CPU with instructions for it, else float32.",
        "auto",
    )
    device: str = setting(
        fields.String(validate=validate.Regexp(r"(auto|cpu|cuda(:\d+)?)\Z")),
        "Where the voxcpm engine runs: `auto`, `cpu`, `cuda` or `cuda:1`.",
        "auto",
    )
    cuda_graphs: bool = setting(
        fields.Boolean(),
        "On a GPU, let the voxcpm engine replay each step as CUDA graphs; off, it runs the same "
        "operators one by one. Off until it has been measured on a GPU.",
        False,
    )
    kernels: str = setting(
        fields.String(validate=validate.OneOf(["torch", "triton"])),
        "On a GPU, what the voxcpm engine calculates with between its matrix products: PyTorch's "
        "operators, or one `triton` kernel for several. `torch` until they are measured on a GPU.",
        "torch",
    )
    default_voice: str = setting(
        fields.String(validate=validate.Length(min=1)),
        "The voice of requests that name none.",
        "alloy",
    )
    max_input_chars: int = setting(
        _whole(1, 10_000_000), "The longest `input`, in characters.", 4096
    )
    voices_dir: Path | None = setting(
        Folder(), "A folder of your own voices: `<id>.toml`, with `<id>.flac` for a clip.", None
    )
    data_dir: Path | None = setting(
        Place(),
        "Where added voices are kept; made when it is needed. "
        "Unless set: `$XDG_DATA_HOME/voxcpm-openai`.",
        None,
    )
    max_voices: int = setting(
        _whole(0, 100_000), "How many voices may be added; one more is a 400.", 100
    )
    require_consent: bool = setting(
        fields.Boolean(), "Take a voice over HTTP only with the recording of a consent.", True
    )
    transcriber_model: str = setting(
        fields.String(validate=validate.Length(min=1)),
        "What writes down the words of clips sent without them: a faster-whisper model, as a "
        "folder or as the id of one that was fetched from the hub.",
        "Systran/faster-whisper-small",
    )
    plugins_dir: Path | None = setting(
        Folder(), "A folder of your own plugins: one `.py` file each.", None
    )
    disabled_plugins: tuple[str, ...] = setting(
        Words(), "Plugins to leave out, by name, comma-separated.", ()
    )
    log_level: str = setting(
        fields.String(validate=validate.OneOf(["debug", "info", "warning", "error"])),
        "How much is logged: `debug`, `info`, `warning` or `error`.",
        "info",
    )

    @property
    def data_folder(self) -> Path:
        """Where added voices are kept, whether it is there yet or not."""
        return self.data_dir or _xdg("XDG_DATA_HOME", ".local/share")

    @property
    def cache_folder(self) -> Path:
        """Where things are kept that can be made again."""
        return _xdg("XDG_CACHE_HOME", ".cache")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of a setting came from, such as ``VOXCPM_PORT`` or ``default``."""

    name: str
    value: object
    origin: str


def variable(name: str) -> str:
    """Return the environment variable of a setting: ``port`` → ``VOXCPM_PORT``."""
    return PREFIX + name.upper()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read all settings.  Raises SettingsError with every fault found; warns of unknown variables.

    ``environ`` is ``os.environ`` unless given.
    """
    settings, problems = read_settings(environ)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def read_settings(environ: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """Read all settings and list what is wrong; a wrong one keeps its default."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for source in sources(environ, problems):
        if source.origin == "default":
            continue
        field: fields.Field[Any] = _FIELDS[source.name].metadata["field"]
        try:
            values[source.name] = field.deserialize(source.value)
        except ValidationError as error:
            shown = "***" if source.name == "api_keys" else repr(source.value)
            wants = " ".join(str(message) for message in error.messages)
            problems.append(f"{source.origin} = {shown}: {wants} {_help(source.name)}")
    return Settings(**values), problems


def sources(
    environ: Mapping[str, str] | None = None, problems: list[str] | None = None
) -> list[Source]:
    """List every setting with its raw value and origin; what is wrong goes to ``problems``."""
    environ = os.environ if environ is None else environ
    problems = [] if problems is None else problems
    path, table = environ.get(CONFIG_VARIABLE), {}
    if path:
        table = _read_file(Path(path).expanduser(), problems)
    _warn_of_unknown(environ)
    found = []
    for name, field in _FIELDS.items():
        if variable(name) in environ:
            found.append(Source(name, environ[variable(name)], variable(name)))
        elif name in table:
            found.append(Source(name, table[name], f"{path}: {name}"))
        else:
            found.append(Source(name, field.default, "default"))
    return found


def describe() -> list[tuple[str, str, object]]:
    """List every setting as (name, help, default), for the docs and ``check``."""
    return [(name, _help(name), field.default) for name, field in _FIELDS.items()]


def _xdg(variable: str, default: str) -> Path:
    """Return our folder by XDG's rule: a path that is not absolute counts as unset."""
    root = Path(os.environ.get(variable, ""))
    return (root if root.is_absolute() else Path.home() / default) / "voxcpm-openai"


def _help(name: str) -> str:
    return str(_FIELDS[name].metadata["help"])


def _read_file(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{CONFIG_VARIABLE} = {str(path)!r}: cannot be read: {error.strerror}.")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{CONFIG_VARIABLE} = {str(path)!r}: is not TOML: {error}.")
        return {}
    problems += [
        f"{path}: {name} = {table[name]!r}: there is no such setting; there are "
        f"{', '.join(_FIELDS)}."
        for name in table
        if name not in _FIELDS
    ]
    return table


def _warn_of_unknown(environ: Mapping[str, str]) -> None:
    known = {variable(name) for name in _FIELDS} | {CONFIG_VARIABLE}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            logger.warning("%s is not a setting; it is ignored", name)


_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
