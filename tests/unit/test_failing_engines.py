"""Engines that fail after their start: at ``close``, ``stop`` and ``status``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import running
from tests.support.foreign_engine import foreign, speak
from tests.unit.test_broken_engines import BROKEN_STREAM, LEAVES


@pytest.mark.parametrize("fault", ["1 / 0", LEAVES])
def test_a_stream_whose_close_fails_is_logged_and_frees_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    source = BROKEN_STREAM.format(member=f"close = lambda self: {fault}")
    with running(foreign(tmp_path, source)) as client:
        reply = speak(client)
        assert len(reply.data) == 4_800
        assert client.get("/ready").get_json()["streams"]["running"] == 0
    assert "the engine foreign failed to close a stream" in caplog.text


@pytest.mark.parametrize("fault", ["1 / 0", LEAVES])
def test_an_engine_whose_stop_fails_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    with running(foreign(tmp_path, f"def stop(self): return {fault}")) as client:
        assert speak(client).status_code == 200
    assert "engine foreign: stop() failed" in caplog.text


@pytest.mark.parametrize(
    ("then", "logged"),
    [
        ("1 / 0", "status() failed"),
        (LEAVES, "status() failed"),
        ("{}", "which is not an EngineStatus"),
    ],
)
def test_a_status_that_fails_later_makes_the_server_unready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, then: str, logged: str
) -> None:
    source = f"""
        broken = False
        def status(self):
            if self.broken:
                return {then}
            self.broken = True
            return EngineStatus()
        """
    with running(foreign(tmp_path, source)) as client:
        _, reply = client.get("/ready"), client.get("/ready")
        error = reply.get_json()["error"]
        assert (reply.status_code, error["code"]) == (503, "engine_failed")
        assert "The engine foreign cannot report its status" in error["message"]
    assert caplog.text.count(logged) == 1  # each worker asks every second
