"""Engines that break their contract: each is named, in a start error or in a clean answer."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.conftest import running
from tests.support.command import run
from tests.support.foreign_engine import SPEECH, foreign, speak
from voxcpm_openai.app import create_app
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import EngineFailed, PluginError
from voxcpm_openai.web.app_context import context_of

LEAVES = "__import__('sys').exit(3)"
"""What ends a process, or silently a thread."""


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ("capabilities = None", "", "Foreign.capabilities is not a Capabilities"),
        ("capabilities = {}", "", "Foreign.capabilities is not a Capabilities"),
        (
            "@property\ndef capabilities(self): return 1 / 0",
            "",
            "capabilities or status() failed: ZeroDivisionError",
        ),
        ("capabilities = Capabilities('24000')", "", "sample_rate = '24000': must be a whole"),
        ("capabilities = Capabilities(4000)", "", "sample_rate = 4000: must be a whole"),
        ("capabilities = Capabilities(24000.0)", "", "sample_rate = 24000.0: must be a whole"),
        ("capabilities = Capabilities(True)", "", "sample_rate = True: must be a whole"),
        ("capabilities = Capabilities(24000, 'en')", "", "languages = 'en': must be a tuple"),
        (
            "capabilities = Capabilities(24000, ('english',))",
            "",
            "languages: 'english' is not a code such as 'en'",
        ),
        ("capabilities = Capabilities(24000, (7,))", "", "languages: 7 is not a code"),
        ("capabilities = Capabilities(24000, params=None)", "", "params = None: must be a tuple"),
        (
            "capabilities = Capabilities(24000, params=('speed',))",
            "",
            "params: 'speed' is a request field that belongs to the server",
        ),
        (
            "capabilities = Capabilities(24000, params=('', 'seed'))",
            "",
            "params: '' is not a field's name",
        ),
        (
            "capabilities = Capabilities(24000, cloning='yes')",
            "",
            "cloning = 'yes': must be True or False",
        ),
        (
            "capabilities = Capabilities(24000, continues=None)",
            "",
            "continues = None: must be True or False",
        ),
        (
            "capabilities = Capabilities(24000, native_speed=(0.5, 0.9))",
            "",
            "native_speed = (0.5, 0.9): must contain 1.0",
        ),
        (
            "capabilities = Capabilities(24000, native_speed=('slow', 'fast'))",
            "",
            "native_speed = ('slow', 'fast'): must be (slowest, fastest)",
        ),
        (
            "capabilities = Capabilities(24000, native_speed=(float('nan'), 2.0))",
            "",
            "must be (slowest, fastest)",
        ),
        (
            "capabilities = Capabilities(24000, native_speed=2.0)",
            "",
            "native_speed = 2.0: must be (slowest, fastest)",
        ),
        ("def status(self): return {}", "", "status() returned {}, which is not an EngineStatus"),
        ("def status(self): return 1 / 0", "", "status() failed: ZeroDivisionError"),
        (f"def status(self): return {LEAVES}", "", "status() failed: SystemExit"),
        (
            "def status(self): return EngineStatus(details={'x': object()})",
            "",
            "status().details are not JSON values",
        ),
        ("def status(self): return EngineStatus(summary=1)", "", "status().summary = 1: must be a"),
        ("", "start = lambda settings: object()", "which is not an Engine"),
        ("", "start = lambda settings: Foreign", "which is not an Engine"),
        ("", "start = lambda settings: 1 / 0", "ZeroDivisionError: division by zero"),
        ("", "def start(): pass", "TypeError: start() takes 0 positional arguments"),
        ("", "import sys\nstart = lambda settings: sys.exit('no')", "SystemExit: no"),
        (
            "",
            "def start(settings): raise Unavailable('the device is busy')",
            "cannot start: the device is busy",
        ),
        ("", "Foreign.__abstractmethods__ = {'synthesize'}", "Can't instantiate abstract class"),
        ("@property\ndef name(self): return 'x'", "", "AttributeError: property 'name'"),
    ],
)
def test_an_engine_that_breaks_the_contract_at_its_start_is_a_start_error_with_its_plugins_name(
    tmp_path: Path, source: str, more: str, message: str
) -> None:
    ctx = AppContext.open(foreign(tmp_path, source, more))
    with pytest.raises(PluginError) as caught, ctx.running_engine():
        pass
    assert str(caught.value).startswith("plugin 'foreign_plugin': the engine 'foreign' ")
    assert message in str(caught.value)
    assert ctx.engine.state == "draining"  # it was stopped again


SETTINGS = """
@plugin_settings("foreign")
class Own:
    pitch: {hint} = setting(1.0, "The pitch.")

"""


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("unavailable_reason = lambda settings: 1 / 0", "'foreign' failed: ZeroDivisionError"),
        ("unavailable_reason = lambda settings: False", "'foreign' returned False, not a string"),
        (
            "def unavailable_reason(settings): raise Unavailable('ask again')",
            "unavailable_reason of 'foreign' failed: Unavailable: ask again",
        ),
        ("unavailable_reason = None", "unavailable_reason = None: must be callable"),
        ("start = 'start'", "start = 'start': must be callable"),
        ("EngineSpec = partial(EngineSpec, priority='high')", "priority = 'high': must be a whole"),
        ("EngineSpec = partial(EngineSpec, settings=dict)", "settings = <class 'dict'>: must be"),
        (
            SETTINGS.format(hint="float") + "EngineSpec = partial(EngineSpec, settings=Own())",
            "Own(",
        ),
        (SETTINGS.format(hint="complex"), "a setting cannot be of the type <class 'complex'>"),
        ("EngineSpec = partial(EngineSpec, install_hint=7)", "install_hint = 7: must be a string"),
        (
            "EngineSpec = partial(EngineSpec, more_languages=7)",
            "more_languages = 7: must be a mapping",
        ),
        ("EngineSpec = lambda *_: EngineSpecs(['x'], start)", "returned the name ['x'], not a"),
        ("EngineSpec = lambda *_: EngineSpecs('', start)", "returned the name '', not a name"),
        ("EngineSpec = lambda *_: Foreign()", "not a EngineSpec"),
    ],
)
def test_an_engine_spec_that_is_wrong_stops_the_server_with_its_plugins_name(
    tmp_path: Path, more: str, message: str
) -> None:
    imports = "from functools import partial\nEngineSpecs = EngineSpec\n"
    settings = foreign(tmp_path, "", imports + more)
    with pytest.raises(PluginError) as caught:
        create_app(settings)
    assert str(caught.value).startswith("plugin 'foreign_plugin'")
    assert message in str(caught.value)


def test_the_command_line_tells_a_broken_engine_without_a_traceback(tmp_path: Path) -> None:
    foreign(tmp_path, "", "start = lambda settings: 1 / 0\nunavailable_reason = lambda s: 1 / 0")
    for arguments in (("speak", "Hello.", "-o", str(tmp_path / "x.wav")), ("check",)):
        result = run(*arguments, engine="foreign", plugins_dir=str(tmp_path))
        output = (result.stdout + result.stderr).decode()
        assert result.returncode == 1
        assert "plugin 'foreign_plugin'" in output
        assert "Traceback" not in output


def test_a_start_that_fails_makes_the_server_unready_and_logs_the_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(foreign(tmp_path, "", "start = lambda settings: 1 / 0"))
    engine = context_of(app).engine
    engine.start()
    with pytest.raises(EngineFailed):
        engine.wait(20)
    reply = app.test_client().get("/ready")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "engine_failed")
    assert "plugin 'foreign_plugin': the engine 'foreign' cannot start" in caplog.text
    assert "Traceback" in caplog.text


PLAIN_VOICE = """
@hookimpl
def register_voices():
    return [Voice("plain", "A voice without a clip")]
"""


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def synthesize(self, utterance): return None", "returned None"),
        ("def synthesize(self, utterance): return self.chunks(utterance)", "it has no usage"),
        ("def synthesize(self, utterance): raise ValueError('no')", "ValueError: no"),
        ("def synthesize(self, utterance): raise StopIteration", "StopIteration"),
        ("def synthesize(self): pass", "TypeError"),
        ("def chunks(self, utterance): raise ValueError('no')", "ValueError: no"),
        ("def chunks(self, utterance): return None", "'NoneType' object is not iterable"),
        ("def chunks(self, utterance): yield 'beep'", "yielded 'beep', which is not a Chunk"),
        ("def chunks(self, utterance): yield None", "yielded None, which is not a Chunk"),
        ("def chunks(self, utterance): yield Chunk([0.1])", "samples of shape list"),
        ("def chunks(self, utterance): yield Chunk(np.ones((1, 9)))", "samples of shape (1, 9)"),
        ("def chunks(self, utterance): yield Chunk(np.ones(9))", "samples of float64"),
        ("def chunks(self, utterance): yield Chunk(np.ones(9, 'i2'))", "samples of int16"),
        ("def chunks(self, utterance): yield Chunk(CHUNK.samples, 'a')", "the segment 'a'"),
        ("def chunks(self, utterance): yield 1 / 0", "ZeroDivisionError"),
        ("def chunks(self, utterance): raise SystemExit(3)", "SystemExit: 3"),
        ("def chunks(self, utterance): yield exit(3)", "the generator raised SystemExit(3)"),
    ],
)
def test_an_engine_that_breaks_the_contract_in_a_request_is_named_in_a_clean_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, cause: str
) -> None:
    with running(foreign(tmp_path, source, PLAIN_VOICE)) as client:
        for stream_format in ("audio", "sse"):
            caplog.clear()
            reply = speak(client, model="gpt-4o-mini-tts", stream_format=stream_format)
            error = reply.get_json()["error"]
            assert (reply.status_code, error["code"]) == (500, "synthesis_failed")
            assert "The engine foreign failed" in error["message"]
            assert "Traceback" not in reply.text
            assert cause in caplog.text
        preview = client.get("/v1/voices/plain/sample")
        assert (preview.status_code, preview.get_json()) == (500, {"error": error})
        assert client.get("/ready").get_json()["streams"]["running"] == 0


LATE = """
def chunks(self, utterance):
    yield CHUNK
    {then}
"""


@pytest.mark.parametrize("then", ["raise ValueError('no')", "yield 'beep'", "yield None"])
def test_an_engine_that_breaks_the_contract_late_ends_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, then: str
) -> None:
    with running(foreign(tmp_path, LATE.format(then=then))) as client:
        late = speak(client, model="gpt-4o-mini-tts", stream_format="sse")
        last = json.loads(late.data.split(b"\n\n")[-2].removeprefix(b"data: "))
        assert last["error"]["code"] == "synthesis_failed"
        assert "The engine foreign failed" in last["error"]["message"]
        assert b"[DONE]" not in late.data
        raw = client.post(
            SPEECH,
            json={"model": "tts-1", "input": "Hello.", "response_format": "pcm"},
            buffered=False,
        )
        assert raw.status_code == 200
        with pytest.raises(Exception, match="The engine foreign failed"):
            b"".join(raw.response)
        raw.close()
        assert client.get("/ready").get_json()["streams"]["running"] == 0


BROKEN_STREAM = """
def synthesize(self, utterance):
    class Broken(GeneratorStream):
        {member}
    return Broken(self.chunks(utterance))
"""


@pytest.mark.parametrize("member", ["usage = None", "usage = property(lambda self: 1 / 0)"])
def test_a_wrong_usage_is_an_error_event(tmp_path: Path, member: str) -> None:
    with running(foreign(tmp_path, BROKEN_STREAM.format(member=member))) as client:
        reply = speak(client, model="gpt-4o-mini-tts", stream_format="sse")
        last = json.loads(reply.data.split(b"\n\n")[-2].removeprefix(b"data: "))
        assert "The engine foreign failed" in last["error"]["message"]


def test_refusals_of_an_engine_keep_their_status_and_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
        def synthesize(self, utterance):
            raise Overloaded("come back later", retry_after=7)
        """
    with running(foreign(tmp_path, source)) as client, caplog.at_level(logging.ERROR):
        reply = speak(client)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "7")
    assert reply.get_json()["error"]["message"] == "come back later"
    assert caplog.text == ""
