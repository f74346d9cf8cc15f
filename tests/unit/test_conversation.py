"""A conversation: when it is refused, and what happens if a text cannot be said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from websockets.protocol import Side

from tests.support.socket_client import Script, encoded, protocol
from voxcpm_openai.errors import (
    EngineFailed,
    EngineLoading,
    InvalidRequest,
    Overloaded,
    RequestError,
    Unauthorized,
)
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Conversation, Opening
from voxcpm_openai.web.sockets.speaker import Speaker


class Parrot(Conversation):
    """Greets, and says back what it is told."""

    def start(self) -> None:
        self.channel.send("Hello.")

    def receive(self, message: dict[str, Any]) -> None:
        self.channel.send_json(message)

    def error_message(self, error: RequestError) -> dict[str, object]:
        return {"error": error.message}


def opened(*steps: bytes, engine: RequestError | None = None) -> tuple[Script, Parrot]:
    """``engine``: what it raises, if it is not ready."""

    def get() -> None:
        if engine is not None:
            raise engine

    metrics = SimpleNamespace(refused=lambda _code: None)
    context: Any = SimpleNamespace(engine=SimpleNamespace(get=get), metrics=metrics)
    script = Script(*steps)
    channel = Channel(protocol(Side.SERVER), script, 600.0)
    return script, Parrot(Opening(context, OPERATOR, {}, {}), channel)


def texts(script: Script) -> list[str]:
    return [bytes(one.data).decode() for one in script.sent()]


def test_messages_are_answered_and_wrong_ones_refused_without_an_end() -> None:
    script, parrot = opened(encoded('{"a":1}', "[]", b"\x00", '{"b":2}'))
    parrot.run(None)
    greeting, first, *errors, last = texts(script)
    assert (greeting, first, last) == ("Hello.", '{"a":1}', '{"b":2}')
    assert all('{"error":' in error for error in errors)
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("refusal", "engine", "code", "reason"),
    [
        (Unauthorized("No key."), None, 1008, "No key."),
        (Unauthorized("No key."), EngineLoading("It loads."), 1008, "No key."),
        (None, EngineLoading("It loads.", retry_after=5), 1013, "Try again in 5 s. It loads."),
        (None, EngineFailed("It failed.", retry_after=9), 1013, "Try again in 9 s. It failed."),
    ],
)
def test_a_refusal_is_a_message_and_a_code_and_comes_before_the_greeting(
    refusal: Unauthorized | None, engine: RequestError | None, code: int, reason: str
) -> None:
    script, parrot = opened(encoded('{"a":1}'), engine=engine)
    with pytest.raises(RequestError) as caught:
        parrot.run(refusal)
    parrot.refuse(caught.value)
    assert script.closed_with() == (code, reason)
    message, _ = script.sent()
    assert caught.value.message in bytes(message.data).decode()


def test_without_a_thread_a_text_is_refused_and_the_conversation_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: Speaker) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Speaker, "start", start)
    monkeypatch.setattr(Parrot, "_meter", lambda *_: None)
    _, parrot = opened()
    closed: list[bool] = []
    session: Any = SimpleNamespace(close=lambda: closed.append(True))
    with pytest.raises(Overloaded):
        parrot.say(session, lambda _: None)
    assert closed
    assert not parrot.speakers


def test_there_is_a_limit_on_texts_at_once() -> None:
    _, parrot = opened()
    parrot.speakers.update(Speaker.__new__(Speaker) for _ in range(16))
    request: Any = None
    with pytest.raises(InvalidRequest, match="16 texts at once"):
        parrot.open_session(request)
