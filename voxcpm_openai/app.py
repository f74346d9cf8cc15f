"""The factory: settings in, Flask app out."""

from __future__ import annotations

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from voxcpm_openai.errors import Unwritable
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.resolve import Resolver
from voxcpm_openai.running import RunningEngine
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.candidates import Candidates
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.consents import Consents
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.spoken import SpokenSamples
from voxcpm_openai.voices.store import Store
from voxcpm_openai.voices.transcript import Transcripts
from voxcpm_openai.web import (
    auth,
    candidates,
    consents,
    cors,
    errors,
    health,
    log,
    models,
    speech,
    voices,
)
from voxcpm_openai.web.state import KEY, State
from voxcpm_openai.web.streams import Streams
from voxcpm_openai.web.watch import Watch

BODY_OVERHEAD = 256 * 1024
"""Room in a request body for everything but the input, in bytes."""

BYTES_PER_CHARACTER = 12
"""JSON may write one character as two escapes: ``\\ud83d\\ude00``."""


def create_app(settings: Settings) -> Flask:
    """Make the app.  Its engine is chosen but not started: ``state_of(app).running.start()``.

    Raises StartError where a plugin or a setting is wrong.
    """
    app = Flask("voxcpm_openai", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = (
        BODY_OVERHEAD + BYTES_PER_CHARACTER * settings.max_input_chars
    )
    app.url_map.strict_slashes = False
    app.json = _json(app)
    app.extensions[KEY] = _state(settings)
    for extension in (log, cors, auth, errors):
        extension.init_app(app)
    for blueprint in (speech, models, voices, candidates, consents, health):
        app.register_blueprint(blueprint.blueprint)
    return app


def _json(app: Flask) -> DefaultJSONProvider:
    """JSON as a person reads it: keys in our order, letters of all scripts as they are."""
    provider = DefaultJSONProvider(app)
    provider.ensure_ascii = False
    provider.sort_keys = False
    return provider


def _state(settings: Settings) -> State:
    registry = load_registry(settings)
    data = Data(settings.data_folder)
    store = Store(data, settings)
    catalog = Catalog(registry.voices, store)
    choice = choose_engine(registry, settings)
    try:
        data.sweep()
    except Unwritable:
        pass  # it has been logged; what is there can be read, and speech goes on
    return State(
        settings=settings,
        registry=registry,
        catalog=catalog,
        store=store,
        consents=Consents(data),
        candidates=Candidates(data),
        spoken=SpokenSamples(data.root),
        transcripts=Transcripts(registry.transcribers, settings),
        resolver=Resolver(registry, catalog, settings, choice.spec.name),
        running=RunningEngine(choice, settings),
        streams=Streams(settings.max_streams),
        watch=Watch(),
    )
