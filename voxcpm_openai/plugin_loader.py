"""Finds the plugins and loads them: stock files, installed packages, the user's folder."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pluggy

from voxcpm_openai import hookspecs
from voxcpm_openai.errors import PluginError
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)

_PACKED = Path(__file__).parent / "_stock" / "plugins"
STOCK = _PACKED if _PACKED.is_dir() else Path(__file__).parents[1] / "plugins"
"""The folder of the stock plugins: in the wheel, or beside the package in a checkout."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin: its name, and where it came from."""

    name: str
    origin: str


def _candidates(settings: Settings) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    """List every plugin, and what loads it; a later one wins over an earlier one."""
    yield from _files(STOCK, "voxcpm_openai_plugins", "stock")
    for point in entry_points(group=hookspecs.PROJECT):
        origin = f"package {point.dist.name}" if point.dist else "package"
        yield Plugin(point.name, origin), point.load
    if settings.plugins_dir is not None:
        origin = f"folder {settings.plugins_dir}"
        yield from _files(settings.plugins_dir, "voxcpm_openai_user_plugins", origin)


def _files(
    folder: Path, namespace: str, origin: str
) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    for path in sorted(folder.glob("[!_.]*.py")):
        # A unique module name, so that a file `hibari.py` cannot shadow the package hibari.
        yield Plugin(path.stem, origin), partial(_load_file, path, f"{namespace}.{path.stem}")


def _load_file(path: Path, module_name: str) -> object:
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def load_plugins(manager: pluggy.PluginManager, settings: Settings) -> tuple[Plugin, ...]:
    """Register every plugin that is not disabled.  Raises PluginError, naming the plugin."""
    loaded: list[Plugin] = []
    disabled = set(settings.disabled_plugins)
    for plugin, load in _candidates(settings):
        if plugin.name in settings.disabled_plugins:
            disabled.discard(plugin.name)
            continue
        try:
            module = load()
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must be named
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


def _blame(plugin: Plugin, what: str, error: BaseException) -> PluginError:
    cause = f"{type(error).__name__}: {error}"
    return PluginError(
        f"plugin {plugin.name!r} ({plugin.origin}) {what}: {cause}. "
        f"VOXCPM_DISABLED_PLUGINS={plugin.name} starts without it."
    )
