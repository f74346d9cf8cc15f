"""Fixtures: an app in this process, and live servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.live import TONE_PLUGINS, Server
from voxcpm_openai.app import create_app
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.state import state_of

TONE = Settings(engine="tone", plugins_dir=TONE_PLUGINS)


def started(settings: Settings) -> Flask:
    """Return an app whose engine is warm."""
    app = create_app(settings)
    running = state_of(app).running
    running.start()
    running.wait(30)
    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    """An app that speaks tones."""
    app = started(TONE)
    yield app
    state_of(app).running.stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app that speaks tones."""
    return app.test_client()


@pytest.fixture
def tone_settings() -> Settings:
    """Settings of the app that speaks tones; vary them with ``replace``."""
    return replace(TONE)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A live server as a user starts it: the embedded engine, all defaults."""
    with Server() as server:
        yield server.wait_ready()


@pytest.fixture(scope="session")
def tone_server() -> Iterator[Server]:
    """A live server that speaks tones and obeys commands in the text."""
    with Server(engine="tone", plugins_dir=str(TONE_PLUGINS), max_streams="4") as server:
        yield server.wait_ready()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Eight threads, for what waits."""
    with ThreadPoolExecutor(8) as executor:
        yield executor
