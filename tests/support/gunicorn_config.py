"""gunicorn's configuration as ``gunicorn.conf.py`` makes it from the settings."""

from __future__ import annotations

import os
import runpy
import sys

import pytest
from gunicorn.config import Config

from tests.support import ROOT

FILE = ROOT / "gunicorn.conf.py"


def config(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Config:
    """Return gunicorn's configuration with these settings."""
    for name in [name for name in os.environ if name.startswith("VOXCPM_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(f"VOXCPM_{name.upper()}", value)
    monkeypatch.delitem(sys.modules, "voxcpm_openai.gunicorn_conf", raising=False)
    made = Config()
    for name, value in runpy.run_path(str(FILE)).items():
        if name in made.settings:  # gunicorn does the same
            made.set(name, value)
    return made
