"""Settings: defaults < TOML file (``VOXCPM_CONFIG``) < ``VOXCPM_*`` variables.

The server's own settings are ``Settings``.  A plugin declares settings of its own with
``plugin_settings`` and ``setting``, and reads them with ``Settings.of``.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from voxcpm_openai.addresses import BIND, HOST, Address, address_of, bind_of, split_bind
from voxcpm_openai.errors import SettingsError
from voxcpm_openai.logs import FORMATS
from voxcpm_openai.setting_sources import (
    CONFIG_VARIABLE,
    PREFIX,
    RawSettings,
    read_file,
    read_values,
    sources,
)
from voxcpm_openai.setting_types import TABLE, setting

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's own settings, read once at the start by ``load_settings``."""

    host: str = setting(
        "127.0.0.1",
        "The address to listen on: IPv4, IPv6, a name, or `unix:/path` for a socket. Beyond "
        "loopback, `api_keys`, `api_keys_file` or `allow_open` is required.",
        pattern=HOST,
    )
    port: int = setting(7861, "The port to listen on.", min=1, max=65535)
    admin_bind: str = setting(
        "",
        "One more address to listen on, `host:port` or `unix:/path`, for `/metrics`, `/health` and "
        "`/ready` only, without a key. Keep it from clients.",
        pattern=rf"({BIND})?",
    )
    workers: int | Literal["auto"] = setting(
        "auto",
        "Processes, each with an engine. `auto`: one per GPU if the engine runs on GPUs, else one.",
        min=1,
        max=256,
    )
    max_streams: int = setting(
        64, "Concurrent speech requests per worker; one more is a 503.", min=1, max=4096
    )
    graceful_timeout: int = setting(
        30, "Seconds that running streams get to finish when the server stops.", min=1, max=86400
    )
    max_connections: int = setting(
        2048,
        "Connections per worker; beyond it, the one that has waited longest is closed.",
        min=64,
        max=1_000_000,
    )
    max_connections_per_address: int = setting(
        0,
        "Connections of one address per worker, 0: any. Loopback and trusted proxies are exempt.",
        min=0,
        max=1_000_000,
    )
    head_timeout: float = setting(
        10.0, "Seconds in which the head of a request must arrive.", min=0.1, max=3600
    )
    body_timeout: float = setting(
        30.0, "Seconds that a client may pause in the body of a request.", min=0.1, max=3600
    )
    send_timeout: float = setting(
        120.0,
        "Seconds in which a client must take something of its response.",
        min=0.1,
        max=86400,
    )
    max_sockets: int = setting(
        256, "WebSockets per worker; one more is closed with 1013.", min=1, max=65536
    )
    socket_idle_timeout: float = setting(
        600.0,
        "Seconds without a message after which a WebSocket is closed, unless it is speaking.",
        min=0.1,
        max=86400,
    )
    realtime_instructions: str = setting(
        "ignore",
        "The `instructions` of Realtime clients, which tell a language model to read aloud: "
        "`ignore`, or `style` to give them to the engine.",
        choices=("ignore", "style"),
    )
    api_keys: tuple[str, ...] = setting(
        (),
        "Keys that clients may send, comma-separated, plain or as `sha256:...`. None, and no "
        "`api_keys_file`: no key is needed.",
    )
    api_keys_file: Path | None = setting(
        None,
        "A file with more keys, and the limits of each: TOML, or one key per line; reloaded when "
        "it changes.",
        file=True,
        secret=False,
    )
    requests_per_minute: int = setting(
        0, "Speech requests per minute by key; one more is a 429. 0: unlimited.", min=0, max=10**9
    )
    characters_per_minute: int = setting(
        0, "Characters per minute by key; more are a 429. 0: unlimited.", min=0, max=10**9
    )
    streams_per_key: int = setting(
        0,
        "Concurrent speech requests by key; one more is a 429. 0: unlimited.",
        min=0,
        max=10**9,
        secret=False,
    )
    limits_url: str = setting(
        "",
        "The Redis that counts requests and characters for all workers and servers, such as "
        "`redis://127.0.0.1:6379`. Without it the workers divide each limit.",
        pattern=r"(?:rediss?|redis\+unix)://.+",
        secret=True,
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
    idle_unload: float = setting(
        0.0, "Seconds without speech after which the engine is unloaded. 0: never.", min=0, max=1e7
    )
    idle_wait: float = setting(
        30.0, "Seconds that a request waits for an engine that was unloaded.", min=0, max=3600
    )
    cache_mb: int = setting(
        0,
        "MB on disk for the speech of earlier requests; equal ones get it. 0: off.",
        min=0,
        max=10**7,
    )
    threads: int = setting(
        0,
        "The most CPU threads of the engine. 0: one for each core that it may use.",
        min=0,
        max=1024,
    )
    default_voice: str = setting("alloy", "The voice of requests that name none.")
    max_input_chars: int = setting(
        4096,
        "The longest `input`, in characters; of a session, the text that waits to be spoken.",
        min=1,
        max=10_000_000,
    )
    lead_ms: int = setting(
        0, "Milliseconds of silence before the speech, unless a request says.", min=0, max=2000
    )
    tail_ms: int = setting(
        0, "Milliseconds of silence after the speech, unless a request says.", min=0, max=2000
    )
    voices_dir: Path | None = setting(
        None, "A folder of your own voices: `<id>.toml`, with `<id>.flac` for a clip."
    )
    normalize: bool = setting(
        False,
        "Give words instead of digits and signs also to engines that read these themselves.",
    )
    lexicon: Path | None = setting(
        None,
        "How texts are read, for all requests: a lexicon, as a `.toml`, `.pls` or `.xml` file.",
        file=True,
    )
    data_dir: Path | None = setting(
        None,
        "Where added voices are kept; created if needed. Default: `$XDG_DATA_HOME/voxcpm-openai`.",
        creatable=True,
    )
    max_voices: int = setting(
        100, "How many voices may be added; one more is a 400.", min=0, max=100_000
    )
    max_consents: int = setting(
        100, "How many consents may be stored; one more is a 400.", min=0, max=100_000
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
    log_format: str = setting(
        "text",
        "How a line of the log looks: `text`, or `json` for one object a line.",
        choices=FORMATS,
    )
    log_text: bool = setting(False, "Log the texts that are spoken, which may be private.")
    raw: RawSettings = field(default_factory=RawSettings, repr=False, compare=False)

    @property
    def keyed(self) -> bool:
        """Whether clients need an API key."""
        return bool(self.api_keys or self.api_keys_file)

    def of(self, kind: type[T]) -> T:
        """Return a plugin's own settings.  Raises SettingsError, naming every wrong value."""
        values, problems = read_values(kind, self.raw)
        if problems:
            raise SettingsError("\n".join(problems))
        return kind(**values)

    @property
    def binds(self) -> list[str]:
        """Where the server listens, as gunicorn's setting ``bind``."""
        binds = [bind_of(self.host, self.port)]
        return [*binds, bind_of(*split_bind(self.admin_bind))] if self.admin_bind else binds

    @property
    def admin_address(self) -> Address | None:
        """The address of ``admin_bind``, if it is set."""
        return address_of(*split_bind(self.admin_bind)) if self.admin_bind else None

    @property
    def data_folder(self) -> Path:
        """The folder of added voices, whether it exists yet or not."""
        return self.data_dir or _xdg("XDG_DATA_HOME", ".local/share")

    @property
    def cache_folder(self) -> Path:
        """The folder of cached files."""
        return _xdg("XDG_CACHE_HOME", ".cache")


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
    path = environ.get(CONFIG_VARIABLE, "").strip()
    file = read_file(path, problems) if path else {}
    values, wrong = read_values(Settings, raw := RawSettings(environ, file, path))
    return Settings(**values, raw=raw), problems + wrong


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


def _xdg(variable: str, default: str) -> Path:
    """Return our folder as XDG has it: a path that is not absolute counts as unset."""
    root = Path(os.environ.get(variable, ""))
    return (root if root.is_absolute() else Path.home() / default) / "voxcpm-openai"
