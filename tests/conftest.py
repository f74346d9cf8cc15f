"""Fixtures: an app in this process, and live servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.live import TONE_PLUGINS, Server
from tests.uploads import KEYS
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


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's own voices are heard, and none is left in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@contextmanager
def running(settings: Settings) -> Iterator[FlaskClient]:
    """A client of an app whose engine is warm, and stopped in the end."""
    app = started(settings)
    try:
        yield app.test_client()
    finally:
        state_of(app).running.stop()


@pytest.fixture
def app(tone_settings: Settings) -> Iterator[Flask]:
    """An app that speaks tones."""
    with running(tone_settings) as client:
        yield client.application


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app that speaks tones."""
    return app.test_client()


@pytest.fixture
def shared(tone_settings: Settings) -> Iterator[FlaskClient]:
    """A client of an app with two keys (see ``uploads``), whose engine clones and designs."""
    settings = replace(tone_settings, api_keys=KEYS, engine="cloning-tone")
    with running(settings) as client:
        yield client


@pytest.fixture
def tone_settings(tmp_path: Path) -> Settings:
    """Settings of the app that speaks tones; vary them with ``replace``."""
    return replace(TONE, data_dir=tmp_path / "data")


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
