"""The app that a WSGI server loads, made from the environment; its engine is starting."""

from __future__ import annotations

import logging
import sys

from voxcpm_openai.app import create_app
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import load_settings
from voxcpm_openai.web.app_context import context_of

logger = logging.getLogger(__name__)


def ready_line(ctx: AppContext) -> str:
    """Return the log line of a ready server: engine, voices, models and a command to try."""
    settings, engine = ctx.settings, ctx.engine
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.api_keys else ""
    models = [preset.id for preset in ctx.registry.presets_for(engine.name)]
    body = f'{{"model":"{models[0]}","voice":"{settings.default_voice}","input":"Hello there."}}'
    return (
        f"ready at {url}: engine {engine.name} ({engine.reason}); "
        f"voices {', '.join(sorted(ctx.registry.voices))}; models {', '.join(models)}; try: "
        f"curl {url}/v1/audio/speech{key} -H 'Content-Type: application/json' "
        f"-d '{body}' -o hello.mp3"
    )


try:
    app = create_app(load_settings())
except StartError as error:
    sys.exit(f"voxcpm-openai cannot start: {error}")

_context = context_of(app)
_context.engine.start(lambda: logger.info("%s", ready_line(_context)))
