"""Plugins with an engine that a test writes, and requests to it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from voxcpm_openai.settings import Settings

SPEECH = "/v1/audio/speech"

PLUGIN = """
import numpy as np
from voxcpm_openai import *

CHUNK = Chunk(np.full(2400, 0.1, np.float32))

class Foreign(Engine):
    capabilities = Capabilities(sample_rate=24_000)

    def synthesize(self, utterance):
        return GeneratorStream(self.chunks(utterance))

    def chunks(self, utterance):
        yield CHUNK

{source}

def unavailable_reason(settings):
    return None

def start(settings):
    return Foreign()

{more}

@hookimpl
def register_engines():
    return [EngineSpec("foreign", start, unavailable_reason)]
"""


def foreign(folder: Path, source: str = "", more: str = "", **settings: Any) -> Settings:
    """Return settings that run an engine; ``source`` replaces parts of its class."""
    method = "\n".join(f"    {line}" for line in dedent(source).strip().splitlines())
    text = PLUGIN.format(source=method, more=dedent(more))
    (folder / "foreign_plugin.py").write_text(text, encoding="utf-8")
    return Settings(engine="foreign", plugins_dir=folder, data_dir=folder / "data", **settings)


def speak(client: FlaskClient, **fields: object) -> TestResponse:
    return client.post(
        SPEECH, json={"model": "tts-1", "input": "Hello.", "response_format": "pcm", **fields}
    )
