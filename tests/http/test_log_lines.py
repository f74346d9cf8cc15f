"""The access log: ids from headers, the key's name, and no text by default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import running
from tests.support.uploads import JANE, KEYS
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.logs import FIELDS
from voxcpm_openai.settings import Settings

SPEECH = "/v1/audio/speech"
BODY = {"model": "tone", "input": "Quite private words.", "voice": "sine"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def facts(client: FlaskClient, caplog: pytest.LogCaptureFixture, **headers: str) -> dict[str, Any]:
    with caplog.at_level("INFO", "voxcpm_openai.requests"):
        reply = client.post(SPEECH, json=BODY, headers=headers, buffered=False)
        assert reply.data
        reply.close()
    (record,) = [one for one in caplog.records if one.name == "voxcpm_openai.requests"]
    found: dict[str, Any] = getattr(record, FIELDS)
    found["answered"] = reply.headers["x-request-id"]
    return found


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1.2:3_4", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)],
)
def test_a_valid_request_id_from_a_proxy_is_kept(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, sent: str, kept: bool
) -> None:
    found = facts(client, caplog, **{"x-request-id": sent})
    assert found["id"] == found["answered"]
    assert (found["id"] == sent) == kept


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}x-b7ad6b7169203331-01", None),
        ("garbage", None),
    ],
)
def test_the_id_of_a_trace_is_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, sent: str, trace: str | None
) -> None:
    assert facts(client, caplog, traceparent=sent).get("trace_id") == trace


def test_the_line_has_everything_but_the_text(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    found = facts(client, caplog)
    assert found["route"] == SPEECH
    expected = {"status": 200, "model": "tone", "voice": "sine", "voice_kind": "plugin"}
    expected |= {"format": "mp3", "characters": 20, "audio_s": 0.48, "outcome": "done"}
    assert expected.items() <= found.items()
    assert {"ms", "first_byte_ms"} <= found.keys()
    assert "private" not in str(found)


def test_the_text_is_logged_if_configured(
    tone_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with running(replace(tone_settings, log_text=True)) as client:
        assert facts(client, caplog)["text"] == BODY["input"]


def test_a_key_is_named_and_never_shown(
    tone_settings: Settings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with running(replace(tone_settings, api_keys=KEYS)) as client:
        found = facts(client, caplog, **JANE)
    assert found["key"] == unnamed(KEYS[0]).name
    (file := tmp_path / "keys.toml").write_text(f'[keys.jane]\nkey = "{KEYS[0]}"\n')
    file.chmod(0o600)
    caplog.clear()
    with running(replace(tone_settings, api_keys_file=file)) as client:
        assert facts(client, caplog, **JANE)["key"] == "jane"
    assert KEYS[0] not in caplog.text
