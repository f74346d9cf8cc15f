"""Realtime's instructions tell a language model to read aloud: an engine must not act on them."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import running
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.session import SpeechSession
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.sockets.conversation import Opening
from voxcpm_openai.web.sockets.realtime import RealtimeConversation

TIMEOUT = 20
READ = "You are a reader. Read the text aloud, exactly as it is written."
INPUT = [{"role": "user", "content": [{"type": "input_text", "text": "Hello there."}]}]


class Sent(SimpleNamespace):
    """A channel that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__(idle=60.0)
        self.messages: list[dict[str, Any]] = []
        self.done = Event()

    def send_json(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message["type"] == "response.done":
            self.done.set()


class Recorded(RealtimeConversation):
    """Keeps what is asked of the core."""

    def __init__(self, opening: Opening, channel: Any) -> None:
        super().__init__(opening, channel)
        self.requests: list[SpeechRequest] = []

    def open_session(self, request: SpeechRequest) -> SpeechSession:
        self.requests.append(request)
        return super().open_session(request)


@pytest.mark.parametrize(
    ("meaning", "session", "response", "style"),
    [
        ("ignore", READ, None, None),
        ("ignore", READ, READ, None),
        ("style", "a calm old man", None, "a calm old man"),
        ("style", "a calm old man", "a young woman", "a young woman"),
        ("style", "", None, None),
    ],
)
def test_instructions_are_a_style_only_if_the_operator_says_so(
    tone_settings: Settings, meaning: str, session: str, response: str | None, style: str | None
) -> None:
    settings = replace(tone_settings, realtime_instructions=meaning)
    with running(settings) as client:
        context = context_of(client.application)
        channel: Any = Sent()
        conversation = Recorded(Opening(context, OPERATOR, {}, {}), channel)
        conversation.start()
        conversation.receive({"type": "session.update", "session": {"instructions": session}})
        asked = {"input": INPUT, "instructions": response}
        conversation.receive({"type": "response.create", "response": asked})
        assert channel.done.wait(TIMEOUT)
        assert conversation.requests[-1].instructions == style
        assert channel.messages[-1]["response"]["status"] == "completed"
