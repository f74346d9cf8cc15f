"""The app that a WSGI server loads: made from the environment, its engine starting."""

from __future__ import annotations

import logging
import sys

from voxcpm_openai.app import create_app
from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import load_settings
from voxcpm_openai.web.state import State, state_of

logger = logging.getLogger(__name__)


def ready_line(here: State) -> str:
    """Say what runs and why, who can speak, and how to try it."""
    settings, running = here.settings, here.running
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.api_keys else ""
    models = [preset.id for preset in here.registry.presets_for(running.name)]
    body = f'{{"model":"{models[0]}","voice":"{settings.default_voice}","input":"Hello there."}}'
    return (
        f"ready at {url}: engine {running.name} ({running.why}); "
        f"voices {', '.join(sorted(here.registry.voices))}; models {', '.join(models)}; try: "
        f"curl {url}/v1/audio/speech{key} -H 'Content-Type: application/json' "
        f"-d '{body}' -o hello.mp3"
    )


try:
    app = create_app(load_settings())
except StartError as error:
    sys.exit(f"voxcpm-openai cannot start: {error}")

_state = state_of(app)
_state.running.start(lambda: logger.info("%s", ready_line(_state)))
