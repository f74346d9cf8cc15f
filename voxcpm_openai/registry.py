"""Finds the plugins, asks their hooks, and folds the answers by id."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import pluggy

from voxcpm_openai import hookspecs
from voxcpm_openai.contracts import AudioFormat, EngineSpec, Preset, TranscriberSpec, Voice
from voxcpm_openai.errors import PluginError, SettingsError, VoxcpmError
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

AUTO_ENGINES = ("voxcpm", "hibari")
"""What ``VOXCPM_ENGINE=auto`` tries, best first."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that takes part: its name and where it came from."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Registry:
    """All that the plugins gave, folded by id.  Immutable; made once by ``load_registry``."""

    plugins: tuple[Plugin, ...]
    voices: Mapping[str, Voice]
    presets: Mapping[str, Preset]
    formats: Mapping[str, AudioFormat]
    engines: Mapping[str, EngineSpec]
    transcribers: Mapping[str, TranscriberSpec]

    def presets_for(self, engine: str) -> list[Preset]:
        """List the presets that the engine of this name can serve, its own after the others."""
        served = [preset for preset in self.presets.values() if preset.engine in (None, engine)]
        return sorted(served, key=lambda preset: preset.engine is not None)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to run, and why it was chosen: one sentence for the start-up line."""

    spec: EngineSpec
    why: str


def load_registry(settings: Settings) -> Registry:
    """Load every plugin that is not disabled and fold what they give.

    Raises PluginError, with the plugin's name and the cause, and SettingsError where the default
    voice does not exist.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registry = Registry(
        plugins=_load_plugins(manager, settings),
        voices=_fold(manager, "register_voices", Voice, "id", settings),
        presets=_fold(manager, "register_presets", Preset, "id", settings),
        formats=_fold(manager, "register_encoders", AudioFormat, "name", settings),
        engines=_fold(manager, "register_engines", EngineSpec, "name", settings),
        transcribers=_fold(manager, "register_transcribers", TranscriberSpec, "name", settings),
    )
    if settings.default_voice not in registry.voices:
        raise SettingsError(
            f"VOXCPM_DEFAULT_VOICE = {settings.default_voice!r}: there is no such voice; "
            f"there are {', '.join(registry.voices) or 'none'}."
        )
    return registry


def choose_engine(registry: Registry, settings: Settings) -> Choice:
    """Decide which engine runs.  Raises SettingsError, with the reason, where none can."""
    if settings.engine != "auto":
        spec = registry.engines.get(settings.engine)
        if spec is None:
            known = ", ".join(["auto", *registry.engines])
            raise SettingsError(
                f"VOXCPM_ENGINE = {settings.engine!r}: there is no such engine; there are {known}."
            )
        if reason := spec.available(settings):
            raise SettingsError(f"VOXCPM_ENGINE = {settings.engine!r}: {reason}")
        return Choice(spec, "VOXCPM_ENGINE asks for it")
    passed_over: list[str] = []
    for name in AUTO_ENGINES:
        spec = registry.engines.get(name)
        reason = "not part of this installation" if spec is None else spec.available(settings)
        if spec is not None and reason is None:
            return Choice(spec, "; ".join(passed_over) or "the best one here")
        passed_over.append(f"{name}: {reason}")
    raise SettingsError(f"VOXCPM_ENGINE = 'auto': no engine can run. {'; '.join(passed_over)}")


def stock_folder(name: str) -> Path:
    """Return the folder of the stock ``plugins`` or ``voices``: in the wheel, or in the checkout.

    The wheel carries them as ``voxcpm_openai/_stock/``; a checkout has them beside the package.
    """
    package = Path(__file__).parent
    packed = package / "_stock" / name
    return packed if packed.is_dir() else package.parent / name


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A plugin that could be loaded."""

    plugin: Plugin
    load: Callable[[], object]


def _candidates(settings: Settings) -> Iterator[_Candidate]:
    """List every plugin there is, weakest first."""
    yield from _files(stock_folder("plugins"), "voxcpm_openai_plugins", "stock")
    for point in entry_points(group=hookspecs.PROJECT):
        origin = f"package {point.dist.name}" if point.dist else "package"
        yield _Candidate(Plugin(point.name, origin), point.load)
    if settings.plugins_dir is not None:
        origin = f"folder {settings.plugins_dir}"
        yield from _files(settings.plugins_dir, "voxcpm_openai_user_plugins", origin)


def _files(folder: Path, namespace: str, origin: str) -> Iterator[_Candidate]:
    for path in sorted(folder.glob("[!_.]*.py")):
        # A name of its own, so that a file `hibari.py` could never shadow the package hibari.
        module_name = f"{namespace}.{path.stem}"
        yield _Candidate(Plugin(path.stem, origin), partial(_load_file, path, module_name))


def _load_file(path: Path, module_name: str) -> object:
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _load_plugins(manager: pluggy.PluginManager, settings: Settings) -> tuple[Plugin, ...]:
    loaded: list[Plugin] = []
    disabled = set(settings.disabled_plugins)
    for candidate in _candidates(settings):
        plugin = candidate.plugin
        if plugin.name in settings.disabled_plugins:
            disabled.discard(plugin.name)
            continue
        try:
            module = candidate.load()
        except Exception as error:  # a plugin may fail in any way; it must be named
            raise _blame(plugin, "cannot be imported", error) from error
        try:
            manager.register(module, name=plugin.name)
        except pluggy.PluginValidationError as error:  # a hook with a wrong argument
            raise _blame(plugin, "does not fit", error) from error
        except ValueError as error:
            raise _blame(plugin, "has the name of another plugin; rename one", error) from error
        loaded.append(plugin)
    for name in sorted(disabled):
        logger.warning("VOXCPM_DISABLED_PLUGINS names %r, which does not exist", name)
    try:
        manager.check_pending()  # a misspelt hook would otherwise be ignored in silence
    except pluggy.PluginValidationError as error:
        known = ", ".join(name for name in vars(hookspecs) if name.startswith("register_"))
        raise PluginError(f"{error} There are {known}.") from error
    return tuple(loaded)


def _blame(plugin: Plugin, what: str, error: Exception) -> PluginError:
    cause = f"{type(error).__name__}: {error}"
    return PluginError(
        f"plugin {plugin.name!r} ({plugin.origin}) {what}: {cause}. "
        f"VOXCPM_DISABLED_PLUGINS={plugin.name} starts without it."
    )


def _fold(
    manager: pluggy.PluginManager, hook: str, kind: type[Item], key: str, settings: Settings
) -> Mapping[str, Item]:
    """Ask one hook of every plugin, weakest first, so that a later answer replaces an earlier.

    The implementations are called one by one, not through ``manager.hook``, so that a fault and
    an override can be told with the plugin's name.
    """
    folded: dict[str, Item] = {}
    givers: dict[str, str] = {}
    for impl in getattr(manager.hook, hook).get_hookimpls():
        arguments = [settings for _ in impl.argnames]
        for item in _ask(hook, impl, arguments):
            if not isinstance(item, kind):
                raise PluginError(
                    f"plugin {impl.plugin_name!r}: {hook} gave {item!r}, not a {kind.__name__}."
                )
            name = getattr(item, key)
            if name in givers:
                logger.info(
                    "%s %r: %s wins over %s",
                    kind.__name__.lower(),
                    name,
                    impl.plugin_name,
                    givers[name],
                )
            folded[name], givers[name] = item, impl.plugin_name
    return MappingProxyType(folded)


def _ask(hook: str, impl: pluggy.HookImpl, arguments: list[Settings]) -> list[object]:
    try:
        answer = impl.function(*arguments)
    except VoxcpmError as error:
        raise PluginError(f"plugin {impl.plugin_name!r}: {error}") from error
    except Exception as error:  # a plugin may fail in any way; it must be named
        raise PluginError(
            f"plugin {impl.plugin_name!r}: {hook} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(answer, list):
        raise PluginError(f"plugin {impl.plugin_name!r}: {hook} gave {answer!r}, not a list.")
    return answer
