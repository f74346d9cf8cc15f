"""The app that a WSGI server loads, made from the environment; its engine is starting."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from voxcpm_openai import gpus
from voxcpm_openai.addresses import Listener, address_of
from voxcpm_openai.app import create_app
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import StartError, Unavailable
from voxcpm_openai.serving import current
from voxcpm_openai.settings import load_settings
from voxcpm_openai.web.app_context import context_of

logger = logging.getLogger(__name__)


def ready_line(ctx: AppContext, listeners: Sequence[Listener]) -> str:
    """Return the log line of a ready server: engine, voices, models and a command to try."""
    settings, engine = ctx.settings, ctx.engine
    where = f" on GPU {gpu}" if (gpu := gpus.own()) else ""
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.keyed else ""
    models = [preset.id for preset in ctx.registry.presets_for(engine.name)]
    body = f'{{"model":"{models[0]}","voice":"{settings.default_voice}","input":"Hello there."}}'
    return (
        f"ready at {', '.join(one.shown for one in listeners)}: "
        f"engine {engine.name}{where} ({engine.reason}){_summary(ctx)}; "
        f"voices {', '.join(sorted(ctx.registry.voices))}; models {', '.join(models)}; try: "
        f"{listeners[0].curl}/v1/audio/speech{key} -H 'Content-Type: application/json' "
        f"-d '{body}' -o hello.mp3"
    )


def _summary(ctx: AppContext) -> str:
    """Return what the engine says of itself, after a colon."""
    try:
        summary = ctx.engine.status().summary
    except Unavailable:  # it has ended already
        return ""
    return f": {summary}" if summary else ""


def _ready() -> None:
    logger.info("%s", ready_line(_context, _listeners))
    if _serving is not None:
        _serving.report_ready()
    _context.prepare_voices()


_serving = current()
try:
    _settings = _serving.settings if _serving else load_settings()
    app = create_app(_settings, _serving.workers if _serving else 1)
except StartError as error:
    sys.exit(f"voxcpm-openai cannot start: {error}")

_listeners = (
    _serving.listeners if _serving else [Listener(address_of(_settings.host, _settings.port))]
)
_context = context_of(app)
_context.engine.start(_ready)
