"""``voxcpm-openai check --url``: what it prints of a server that answers, and of others."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.command import output_of, run
from tests.support.live_server import Server, free_port
from voxcpm_openai.server_check import TRIALS, findings

KEY = "a key"


def test_every_trial_of_our_own_server_succeeds(server: Server) -> None:
    result = run("check", "--url", f"{server.url}/v1")
    lines = output_of(result).splitlines()
    assert result.returncode == 0, lines
    assert len(lines) == len(TRIALS)
    assert all(line.startswith("ok ") for line in lines), lines
    assert re.search(r"OpenAI +Realtime +\d+ ms  completed, \d\.\d s of audio", output_of(result))


def test_the_key_is_sent_in_each_of_both_ways() -> None:
    with Server(api_keys=KEY) as server:
        server.wait_ready()
        assert [found for found in findings(server.url, KEY) if not found.ok] == []
        refused = {(found.client, found.what) for found in findings(server.url, "wrong")}
        failed = {(one.client, one.what) for one in findings(server.url, "wrong") if not one.ok}
        public = {("server", "/ready"), ("OpenAI", "models"), ("OpenAI", "voices")}
        assert refused - failed == {*public, ("ElevenLabs", "voices")}


def test_nobody_there_is_a_failure_of_each_trial() -> None:
    result = run("check", "--url", f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 1
    assert output_of(result).count("FAIL") == len(TRIALS)
    assert "Traceback" not in output_of(result)


def test_a_url_without_a_scheme_is_a_usage_error() -> None:
    result = run("check", "--url", "localhost:7861")
    assert result.returncode == 2
    assert "should begin with http://" in output_of(result)


class Other(BaseHTTPRequestHandler):
    """Answers everything with the same JSON."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"data": [], "error": "x"}')

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_kind_of_server_fails_and_is_described(other: str) -> None:
    found = {(one.client, one.what): one for one in findings(other, None)}
    assert found["OpenAI", "models"].ok
    assert found["OpenAI", "speech, mp3"].detail == (
        "the content type is 'application/json', not audio/mpeg"
    )
    assert not found["OpenAI", "Realtime"].ok
    assert not found["OpenAI", "an error"].ok
