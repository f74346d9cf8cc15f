"""Starts and stops the engine of a plugin, which may fail in any way."""

from __future__ import annotations

import logging

from voxcpm_openai import gpus
from voxcpm_openai.contract_checks import engine_problems
from voxcpm_openai.contracts import Engine
from voxcpm_openai.errors import PluginError, StartError, VoxcpmError
from voxcpm_openai.registry import EngineChoice
from voxcpm_openai.settings import Settings

logger = logging.getLogger(__name__)


def start_engine(choice: EngineChoice, settings: Settings) -> Engine:
    """Start an engine and check it.  Raises StartError, naming the plugin unless it did."""
    name, plugin = choice.spec.name, f"plugin {choice.plugin!r}"
    try:
        gpus.give_named(choice.device(settings))
        engine = choice.spec.start(settings)
        if isinstance(engine, Engine):
            engine.name = name
    except StartError:
        raise
    except VoxcpmError as error:
        raise PluginError(f"{plugin}: the engine {name!r} cannot start: {error}") from None
    except (Exception, SystemExit) as error:  # a plugin may fail in any way
        raise PluginError(
            f"{plugin}: the engine {name!r} cannot start: {type(error).__name__}: {error}"
        ) from error
    if problems := engine_problems(engine):
        if isinstance(engine, Engine):
            stop_engine(engine)
        raise PluginError(
            f"{plugin}: the engine {name!r} breaks its contract: {'; '.join(problems)}."
        )
    return engine


def stop_engine(engine: Engine) -> None:
    """Stop an engine; an error is only logged."""
    try:
        engine.stop()
    except (Exception, SystemExit):  # a plugin may fail in any way; the rest must still be stopped
        logger.exception("engine %s: stop() failed", engine.name)
