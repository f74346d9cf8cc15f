"""Fixtures: an app in this process, and live servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings

from tests.support import TONE_PLUGINS
from tests.support.clock import Clock
from tests.support.live_server import Server
from tests.support.uploads import KEYS
from voxcpm_openai.app import create_app
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.app_context import context_of

# The same examples in each run: a change must not fail by chance.
hypothesis_settings.register_profile("fixed", derandomize=True)
hypothesis_settings.load_profile("fixed")

TONE = Settings(engine="tone", plugins_dir=TONE_PLUGINS)


def started(settings: Settings) -> Flask:
    """Return an app whose engine has started."""
    app = create_app(settings)
    engine = context_of(app).engine
    engine.start()
    engine.wait(30)
    return app


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the user's voices, and from hibari's that the user installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("HIBARI_HOME", str(tmp_path_factory.mktemp("hibari")))
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A fake clock in place of ``time.monotonic``."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@contextmanager
def running(settings: Settings) -> Iterator[FlaskClient]:
    """Yield a client of an app whose engine runs; stop the engine at the end."""
    app = started(settings)
    try:
        yield app.test_client()
    finally:
        context_of(app).engine.stop()


@pytest.fixture
def app(tone_settings: Settings) -> Iterator[Flask]:
    """An app with the tone engine."""
    with running(tone_settings) as client:
        yield client.application


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app with the tone engine."""
    return app.test_client()


@pytest.fixture
def shared(tone_settings: Settings) -> Iterator[FlaskClient]:
    """A client of an app with two keys (see ``uploads``), whose engine clones and designs."""
    settings = replace(tone_settings, api_keys=KEYS, engine="cloning-tone")
    with running(settings) as client:
        yield client


@pytest.fixture
def tone_settings(tmp_path: Path) -> Settings:
    """Settings of the app with the tone engine; vary them with ``replace``."""
    return replace(TONE, data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A live server with the embedded engine and the default settings."""
    with Server() as server:
        yield server.wait_ready()


@pytest.fixture(scope="session")
def tone_server() -> Iterator[Server]:
    """A live server with the tone engine and four streams at most."""
    with Server(engine="tone", plugins_dir=str(TONE_PLUGINS), max_streams="4") as server:
        yield server.wait_ready()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A pool of eight threads."""
    with ThreadPoolExecutor(8) as executor:
        yield executor
