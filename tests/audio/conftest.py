"""Fixtures: the embedded engine and the model that it runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hibari import english_engine


@pytest.fixture(scope="module")
def engine(hibari: Any) -> Any:
    return english_engine(hibari, 2)


@pytest.fixture(scope="module")
def hibari() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)
