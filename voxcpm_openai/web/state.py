"""What the views share: one object, made by the factory and kept by the app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from voxcpm_openai.registry import Registry
from voxcpm_openai.resolve import Resolver
from voxcpm_openai.running import RunningEngine
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.candidates import Candidates
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.consents import Consents
from voxcpm_openai.voices.spoken import SpokenSamples
from voxcpm_openai.voices.store import Store
from voxcpm_openai.voices.transcript import Transcripts
from voxcpm_openai.web.streams import Streams
from voxcpm_openai.web.watch import Watch

KEY = "voxcpm_openai"


@dataclass(frozen=True, slots=True)
class State:
    """The parts of one server process."""

    settings: Settings
    registry: Registry
    catalog: Catalog
    store: Store
    consents: Consents
    candidates: Candidates
    spoken: SpokenSamples
    transcripts: Transcripts
    resolver: Resolver
    running: RunningEngine
    streams: Streams
    watch: Watch


def state_of(app: Flask) -> State:
    """Return the state of an app."""
    return cast(State, app.extensions[KEY])


def state() -> State:
    """Return the state of the app that handles the current request."""
    return state_of(current_app)
