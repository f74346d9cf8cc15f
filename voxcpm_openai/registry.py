"""Calls the hooks of the plugins, and merges the results by id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Generic, TypeVar

import pluggy

from voxcpm_openai import hookspecs
from voxcpm_openai.contract_checks import item_problems
from voxcpm_openai.contracts import (
    EngineSpec,
    Normalizer,
    Preset,
    TranscriberSpec,
    Voice,
)
from voxcpm_openai.errors import PluginError, SettingsError, VoxcpmError
from voxcpm_openai.files import leads_out
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.plugin_loader import Plugin, load_plugins
from voxcpm_openai.setting_sources import read_values, sources
from voxcpm_openai.settings import Settings, unknown_keys

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Registry:
    """What the plugins offer, merged by id.  Immutable; made once by ``load_registry``.

    ``providers`` maps the spec of an engine or a transcriber to the name of its plugin.
    """

    plugins: tuple[Plugin, ...]
    voices: Mapping[str, Voice]
    presets: Mapping[str, Preset]
    formats: Mapping[str, AudioFormat]
    engines: Mapping[str, EngineSpec]
    transcribers: Mapping[str, TranscriberSpec]
    providers: Mapping[EngineSpec | TranscriberSpec, str] = field(default_factory=dict)
    normalizers: Mapping[str, Normalizer] = field(default_factory=dict)
    finders: tuple[Callable[[str], Voice | None], ...] = ()

    def engine(self, name: str) -> EngineSpec | None:
        """Return the engine of a name or an alias, or None."""
        named = (spec for spec in self.engines.values() if name in spec.aliases)
        return self.engines.get(name) or next(named, None)

    def find_voice(self, id_: str) -> Voice | None:
        """Return the voice that a finder has for an id, or None.  Raises InvalidRequest."""
        found = (voice for finder in self.finders if (voice := finder(id_)) is not None)
        voice = next(found, None)
        return voice and _with_engines({id_: voice}, self.engines)[id_]

    def presets_for(self, engine: str) -> list[Preset]:
        """List the presets that the engine of this name serves, its own after the others."""
        served = [preset for preset in self.presets.values() if preset.engine in (None, engine)]
        return sorted(served, key=lambda preset: preset.engine is not None)

    def other_engines(self, running: str) -> str:
        """Return a sentence that names the engines beside the running one, with their hints."""
        hints = [
            f"{spec.name} ({spec.install_hint})" if spec.install_hint else spec.name
            for spec in self.engines.values()
            if spec.name != running
        ]
        return f"Other engines: {'; '.join(hints)}." if hints else ""

    @property
    def specs(self) -> list[EngineSpec | TranscriberSpec]:
        """What can be started: all engines and transcribers."""
        return [*self.engines.values(), *self.transcribers.values()]

    def plugin_settings(self) -> list[type]:
        """List the settings classes of all engines and transcribers."""
        return list(dict.fromkeys(spec.settings for spec in self.specs if spec.settings))

    def unavailable_reason(
        self, spec: EngineSpec | TranscriberSpec, settings: Settings
    ) -> str | None:
        """Return why an engine or a transcriber cannot run here, or None.

        Raises PluginError if the plugin fails to say it.
        """
        where = f"plugin {self.providers[spec]!r}: unavailable_reason of {spec.name!r}"
        try:
            reason = spec.unavailable_reason(settings)
        except SettingsError as error:  # a wrong setting of its own, which `read_registry` lists
            return str(error)
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must be named
            raise PluginError(f"{where} failed: {type(error).__name__}: {error}") from error
        if reason is not None and not isinstance(reason, str):
            raise PluginError(f"{where} returned {reason!r}, not a string or None.")
        return reason


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine to run, its plugin, and why it was chosen: one sentence for the ready line."""

    spec: EngineSpec
    plugin: str
    reason: str

    def device(self, settings: Settings) -> str:
        """Return where the engine runs, see ``EngineSpec``.  Raises PluginError, SettingsError."""
        where = f"plugin {self.plugin!r}: device of {self.spec.name!r}"
        try:
            device = self.spec.device(settings)
        except SettingsError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must be named
            raise PluginError(f"{where} failed: {type(error).__name__}: {error}") from error
        if not isinstance(device, str):
            raise PluginError(f"{where} returned {device!r}, not a string.")
        return device


def load_registry(settings: Settings) -> Registry:
    """Load every plugin that is not disabled and merge what they offer.

    Raises PluginError with the plugin's name and the cause, and SettingsError with every problem
    that ``read_registry`` lists.
    """
    registry, problems = read_registry(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return registry


def read_registry(settings: Settings) -> tuple[Registry, list[str]]:
    """Load the plugins, and list the problems with settings.  Raises PluginError.

    The problems: wrong values of the plugins' own settings, unknown keys, no default voice.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugins = load_plugins(manager, settings)
    engines = _merge(manager, "register_engines", EngineSpec, "name", settings)
    transcribers = _merge(manager, "register_transcribers", TranscriberSpec, "name", settings)
    registry = Registry(
        plugins=plugins,
        voices=_with_engines(
            _merge(manager, "register_voices", Voice, "id", settings).items, engines.items
        ),
        presets=_merge(manager, "register_presets", Preset, "id", settings).items,
        formats=_merge(manager, "register_encoders", AudioFormat, "name", settings).items,
        engines=engines.items,
        transcribers=transcribers.items,
        normalizers=_merge(manager, "register_normalizers", Normalizer, "language", settings).items,
        finders=tuple(_finders(manager, settings)),
        providers=engines.by_item() | transcribers.by_item(),
    )
    return registry, _settings_problems(registry, settings)


def _with_engines(
    voices: Mapping[str, Voice], engines: Mapping[str, EngineSpec]
) -> Mapping[str, Voice]:
    """Return the voices, each with options for the engines that read a table of its options."""
    found = {id_: _with_own_clip(voice) for id_, voice in voices.items()}
    for spec in engines.values():
        for id_, voice in found.items():
            read = [name for name in spec.voice_options if name in voice.options]
            tables = {name: voice.options[name] for name in read}
            if tables and spec.name not in voice.options:
                found[id_] = replace(voice, options={**voice.options, spec.name: tables})
    return MappingProxyType(found)


def _with_own_clip(voice: Voice) -> Voice:
    """Return a voice with the path of the file where its clip is a link to another folder.

    Package managers install files as such links.  Later no link that leads elsewhere is followed.
    """
    if voice.audio is None or not leads_out(voice.audio, voice.audio.parent):
        return voice
    return replace(voice, audio=voice.audio.resolve())


def choose_engine(registry: Registry, settings: Settings) -> EngineChoice:
    """Decide which engine runs.  Raises SettingsError, with the reasons, if none can."""
    choice = _choose(registry, settings)
    if not registry.presets_for(choice.spec.name):
        raise SettingsError(
            f"VOXCPM_ENGINE = {settings.engine!r}: no plugin offers a model id for the engine "
            f"{choice.spec.name!r}; see register_presets."
        )
    return choice


def _choose(registry: Registry, settings: Settings) -> EngineChoice:
    if settings.engine != "auto":
        spec = registry.engine(settings.engine)
        if spec is None:
            known = ", ".join(["auto", *registry.engines])
            raise SettingsError(
                f"VOXCPM_ENGINE = {settings.engine!r}: there is no such engine; there are {known}."
            )
        if reason := registry.unavailable_reason(spec, settings):
            raise SettingsError(f"VOXCPM_ENGINE = {settings.engine!r}: {reason}")
        return EngineChoice(spec, registry.providers[spec], "VOXCPM_ENGINE selects it")
    unavailable: list[str] = []
    for spec in sorted(registry.engines.values(), key=lambda spec: -spec.priority):
        reason = registry.unavailable_reason(spec, settings)
        if reason is None:
            why = "; ".join(unavailable) or "the engine of the highest priority"
            return EngineChoice(spec, registry.providers[spec], why)
        unavailable.append(f"{spec.name}: {reason}")
    raise SettingsError(f"VOXCPM_ENGINE = 'auto': no engine can run. {'; '.join(unavailable)}")


def _settings_problems(registry: Registry, settings: Settings) -> list[str]:
    """List what is wrong with settings.  Raises PluginError if two plugins declare one variable."""
    owners: dict[str, tuple[str, type]] = {
        source.variable: ("the server", Settings) for source in sources(Settings, settings.raw)
    }
    problems: list[str] = []
    for spec in registry.specs:
        if spec.settings is None:
            continue
        plugin = registry.providers[spec]
        for source in sources(spec.settings, settings.raw):
            owner, kind = owners.setdefault(source.variable, (f"plugin {plugin!r}", spec.settings))
            if kind is not spec.settings:
                raise PluginError(
                    f"plugin {plugin!r} declares the setting {source.variable}, which belongs to "
                    f"{owner}. VOXCPM_DISABLED_PLUGINS={plugin} starts without it."
                )
    for kind in registry.plugin_settings():
        problems += read_values(kind, settings.raw)[1]
    if settings.default_voice not in registry.voices:
        problems.append(
            f"VOXCPM_DEFAULT_VOICE = {settings.default_voice!r}: there is no such voice; "
            f"there are {', '.join(registry.voices) or 'none'}."
        )
    return problems + unknown_keys(registry.plugin_settings(), settings.raw)


@dataclass(frozen=True, slots=True)
class _Merged(Generic[Item]):
    """What all plugins returned for one hook, and the plugin of each item."""

    items: Mapping[str, Item]
    providers: Mapping[str, str]

    def by_item(self) -> dict[Item, str]:
        """Return the plugin of each item."""
        return {item: self.providers[name] for name, item in self.items.items()}


def _merge(
    manager: pluggy.PluginManager, hook: str, kind: type[Item], key: str, settings: Settings
) -> _Merged[Item]:
    """Call one hook of every plugin, weakest first: a later item replaces an earlier one.

    The implementations are called one by one, not through ``manager.hook``, so that an error and
    an override can name the plugin.
    """
    items: dict[str, Item] = {}
    providers: dict[str, str] = {}
    for impl in getattr(manager.hook, hook).get_hookimpls():
        arguments = [settings for _ in impl.argnames]
        for item in _call(hook, impl, arguments):
            if not isinstance(item, kind):
                raise PluginError(
                    f"plugin {impl.plugin_name!r}: {hook} returned {item!r}, not a {kind.__name__}."
                )
            name = getattr(item, key)
            if not isinstance(name, str) or not name or not name.isprintable():
                raise PluginError(
                    f"plugin {impl.plugin_name!r}: {hook} returned the {key} {name!r}, not a name."
                )
            if problems := item_problems(item):
                raise PluginError(
                    f"plugin {impl.plugin_name!r}: {hook}: {name!r}: {'; '.join(problems)}."
                )
            if name in providers:
                logger.info(
                    "%s %r: %s replaces that of %s",
                    kind.__name__.lower(),
                    name,
                    impl.plugin_name,
                    providers[name],
                )
            items[name], providers[name] = item, impl.plugin_name
    return _Merged(MappingProxyType(items), providers)


def _finders(
    manager: pluggy.PluginManager, settings: Settings
) -> Iterator[Callable[[str], Voice | None]]:
    """Yield the functions of ``register_voice_finders``, those of the last plugin first."""
    hook = "register_voice_finders"
    for impl in reversed(getattr(manager.hook, hook).get_hookimpls()):
        for item in _call(hook, impl, [settings for _ in impl.argnames]):
            if not callable(item):
                raise PluginError(
                    f"plugin {impl.plugin_name!r}: {hook} returned {item!r}, not a function."
                )
            yield item


def _call(hook: str, impl: pluggy.HookImpl, arguments: list[Settings]) -> list[object]:
    try:
        result = impl.function(*arguments)
    except VoxcpmError as error:
        raise PluginError(f"plugin {impl.plugin_name!r}: {error}") from error
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must be named
        raise PluginError(
            f"plugin {impl.plugin_name!r}: {hook} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, list):
        raise PluginError(f"plugin {impl.plugin_name!r}: {hook} returned {result!r}, not a list.")
    return result
