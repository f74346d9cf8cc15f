"""What the page about other servers promises: its requests are answered, and its plugin works."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import TONE, running
from tests.support import ROOT
from tests.support.live_server import Server

PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("body", REQUESTS)
def test_a_request_of_the_page_is_answered_with_speech(server: Server, body: str) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 200
        assert len(reply.read()) > 2_000
        ignored = reply.headers["x-voxcpm-ignored"] or ""
    no_effect = {"lang_code", "stream"} & set(json.loads(body))
    assert set(filter(None, ignored.split(", "))) == no_effect


@pytest.mark.parametrize("model", ["kokoro", "speaches-ai/Kokoro-82M-v1.0-ONNX"])
def test_the_plugin_of_the_page_keeps_model_ids(tmp_path: Path, model: str) -> None:
    (plugin,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert TONE.plugins_dir is not None
    for path in TONE.plugins_dir.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "old_models.py").write_text(plugin, encoding="utf-8")
    with running(replace(TONE, plugins_dir=tmp_path, data_dir=tmp_path / "data")) as client:
        body = {"model": model, "input": "Hello."}
        assert client.post("/v1/audio/speech", json=body).status_code == 200
