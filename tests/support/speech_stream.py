"""Conversations in tests of ``/v1/audio/speech/stream``, with and without a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from flask import Flask
from websockets.sync.client import ClientConnection, connect

from tests.support.live_server import Server
from tests.support.sessions import TIMEOUT
from voxcpm_openai.errors import ClientLeft, RequestError
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Opening
from voxcpm_openai.web.sockets.speech_stream import SpeechStream

Message = dict[str, Any] | bytes
DONE = {"type": "input.done"}
CLOSE = {"type": "session.close"}


def config(**fields: object) -> dict[str, object]:
    return {"type": "session.config", "response_format": "pcm", **fields}


def text(value: object) -> dict[str, object]:
    return {"type": "input.text", "text": value}


def kinds(messages: list[Message]) -> list[str]:
    return ["audio" if isinstance(one, bytes) else one["type"] for one in messages]


def of_kind(messages: list[Message], kind: str) -> list[dict[str, Any]]:
    return [one for one in messages if isinstance(one, dict) and one["type"] == kind]


def frames(messages: list[Message]) -> list[bytes]:
    return [one for one in messages if isinstance(one, bytes)]


def heard(kind: str, count: int = 1) -> Callable[[list[Message]], bool]:
    """Return a step that waits until so many messages of a kind were sent."""
    return lambda messages: kinds(messages).count(kind) >= count


class _ScriptedChannel:
    """A channel whose client says what a script says, and keeps what it is told."""

    def __init__(self, script: tuple[Any, ...]) -> None:
        self.sent: list[Message] = []
        self.code: int | None = None
        self._script = script
        self._changed = threading.Condition()

    def messages(self, _: Callable[[], bool]) -> Iterator[str | bytes]:
        for step in self._script:
            if callable(step):
                self._wait(step)
            elif self.code is None:
                yield step if isinstance(step, str | bytes) else json.dumps(step)

    def _wait(self, seen: Callable[[list[Message]], bool]) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: seen(self.sent) or self.code, TIMEOUT)
        assert done, kinds(self.sent)

    def send(self, message: bytes) -> None:
        self._keep(message)

    def send_json(self, message: dict[str, Any]) -> None:
        self._keep(json.loads(json.dumps(message)))

    def close(self, code: int = 1000, _: str = "") -> None:
        with self._changed:
            self.code = self.code or code
            self._changed.notify_all()

    def _keep(self, message: Message) -> None:
        with self._changed:
            if self.code is not None:
                raise ClientLeft
            self.sent.append(message)
            self._changed.notify_all()


def converse(app: Flask, *script: Any) -> tuple[list[Message], int | None]:
    """Return what the server sends, and its close code; ``script``: messages, and what to await."""
    channel = _ScriptedChannel(script)
    opening = Opening(context_of(app), OPERATOR, {}, {})
    conversation = SpeechStream(opening, cast(Channel, channel))
    try:
        conversation.run(None)
    except RequestError as error:
        conversation.refuse(error)
    for speaker in tuple(conversation.speakers):
        speaker.join(TIMEOUT)
    assert not conversation.speakers
    return channel.sent, channel.code


def open_stream(server: Server) -> ClientConnection:
    """Open a WebSocket of a live server."""
    url = f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream"
    return connect(url, max_size=None, open_timeout=TIMEOUT)


def say(client: ClientConnection, *messages: dict[str, object]) -> None:
    for message in messages:
        client.send(json.dumps(message))


def listen(client: ClientConnection, kind: str = "session.done") -> list[Message]:
    """Return the messages up to the first one of a kind."""
    found: list[Message] = []
    while not found or kinds(found)[-1] != kind:
        message = client.recv(timeout=60)
        found.append(message if isinstance(message, bytes) else json.loads(message))
    return found
