"""Fixtures: a browser, and servers whose page it opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import CLONING, Visit, launch, visiting
from tests.support.live_server import Server

Visiting = Callable[..., AbstractContextManager[Visit]]


# Not for the session: Playwright runs an event loop in this thread as long as it is open, and tests
# of other modules could not run one.
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright, tmp_path_factory.mktemp("browser") / "microphone.wav")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that tells "paced" speech how many chunks it may have."""
    path = tmp_path_factory.mktemp("pace") / "pace"
    path.touch()
    return path


@pytest.fixture(scope="session")
def cloning(pace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose engine clones and designs voices."""
    data = tmp_path_factory.mktemp("data") / "data"
    with Server(**CLONING, data_dir=str(data), tone_pace=str(pace)) as server:
        yield server.wait_ready()


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key, and whose engine neither clones nor designs."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    with Server(**{**CLONING, "engine": "tone"}, data_dir=str(data), api_keys="the key") as server:
        yield server.wait_ready()


@pytest.fixture
def visit(browser: Browser, cloning: Server) -> Iterator[Visit]:
    """The page of the server that clones, loaded."""
    with visiting(browser, cloning) as visit:
        visit.open()
        yield visit


@pytest.fixture
def visits(browser: Browser) -> Visiting:
    """Open the page of a server, with options of ``Browser.new_context``."""
    found: Any = partial(visiting, browser)
    return found
