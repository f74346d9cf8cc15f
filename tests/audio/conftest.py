"""Fixtures: the embedded engine and the model that it runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hibari import plugin
from voxcpm_openai import Settings


@pytest.fixture(scope="module")
def engine() -> Any:
    return plugin.start(Settings(threads=2))


@pytest.fixture(scope="module")
def hibari() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)
