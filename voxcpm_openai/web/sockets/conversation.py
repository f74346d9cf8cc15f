"""A conversation: what a client and the server say to each other, in any protocol."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import (
    ClientLeft,
    InvalidRequest,
    Overloaded,
    RateLimited,
    RequestError,
    Unavailable,
)
from voxcpm_openai.metrics.speech_meter import SpeechMeter, code_of
from voxcpm_openai.principal import Principal
from voxcpm_openai.session import SpeechSession
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.voices.library import kind
from voxcpm_openai.web.access_log import log_line
from voxcpm_openai.web.body import parse_object
from voxcpm_openai.web.sockets.channel import BUSY, REFUSED, Channel
from voxcpm_openai.web.sockets.speaker import EventHandler, Speaker

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a message waits for room: a client whose pings get no answer leaves after 20."""
MAX_SPEAKERS = 16
"""Sessions that one client may have at once: responses, or contexts."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The caller of a WebSocket, and its URL: ``path`` and ``query`` are its variables.

    ``account``: charged for speech, which is free without one.
    """

    context: AppContext
    principal: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]
    account: Account | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    """The fields of each of its log lines."""


class Conversation(ABC):
    """Answers the messages of one client, in the thread of its WebSocket.

    Each text is a session with a thread of its own, which sends its events.  A protocol says what
    the messages mean.
    """

    def __init__(self, opening: Opening, channel: Channel) -> None:
        self.opening = opening
        self.channel = channel
        self.speakers: set[Speaker] = set()
        """Those whose threads run; they leave the set themselves."""
        self.characters = 0
        """Of all texts so far."""

    @abstractmethod
    def start(self) -> None:
        """Check the URL and greet the client.  Raises RequestError, which ends it."""

    @abstractmethod
    def receive(self, message: dict[str, Any]) -> None:
        """Do what a message says.  Raises RequestError: see ``fail``."""

    @abstractmethod
    def error_message(self, error: RequestError) -> dict[str, object]:
        """Return what tells a client of an error."""

    def fail(self, error: RequestError) -> None:
        """Answer a message that was wrong; by default, with the error, and go on."""
        self.channel.send_json(self.error_message(error))

    def run(self, refusal: RequestError | None) -> None:
        """Answer until either side closes.  Raises RequestError for what ends it, ClientLeft.

        ``refusal``: why to end it at once.
        """
        try:
            self._admit(refusal)
            for message in self.channel.messages(self._is_busy):
                self._answer(message)
        finally:
            for speaker in tuple(self.speakers):
                speaker.session.cancel()

    def refuse(self, error: RequestError) -> None:
        """Tell the client what ends the conversation, and close."""
        self.opening.context.metrics.refused(code_of(error))
        try:
            self.channel.send_json(self.error_message(error))
        except ClientLeft:
            return
        if isinstance(error, Unavailable | RateLimited) and error.retry_after is not None:
            self.channel.close(BUSY, f"Try again in {error.retry_after} s. {error.message}")
        else:
            self.channel.close(REFUSED, error.message)

    def open_session(self, request: SpeechRequest) -> SpeechSession:
        """Return a new session, which must be given to ``say`` or closed.  Raises RequestError."""
        if len(self.speakers) >= MAX_SPEAKERS:
            raise InvalidRequest(f"There are {MAX_SPEAKERS} texts at once, which is the limit.")
        ctx, opening = self.opening.context, self.opening
        return SpeechSession(
            ctx.engine.get(),
            ctx.resolver,
            ctx.limits,
            request,
            opening.principal,
            opening.account,
        )

    def say(self, session: SpeechSession, handle: EventHandler) -> None:
        """Say a session in a thread of its own, in which ``handle`` gets its events.

        Raises Overloaded if the system has no more threads.
        """
        meter = self._meter(session)
        speaker = Speaker(session, meter, handle, self.channel, self.speakers.discard)
        self.speakers.add(speaker)
        try:
            speaker.start()
        except RuntimeError as error:
            self.speakers.discard(speaker)
            session.close()
            raise Overloaded("The server has no thread for this text at present.") from error

    def _meter(self, session: SpeechSession) -> SpeechMeter:
        """Return the meter of a session, which writes a line of the log when it ends."""
        context, asked = self.opening.context, session.request
        model = context.resolver.preset(asked.model).id
        facts = {**self.opening.facts, "model": model, "format": asked.response_format}
        begun = time.monotonic()

        def write(measured: dict[str, object]) -> None:
            total = round((time.monotonic() - begun) * 1000)
            log_line(logging.INFO, **facts, voice=session.voice.id, **measured, ms=total)

        meter = SpeechMeter(context.metrics, model, asked.response_format, on_end=write)
        meter.resolved(model, kind(session.voice))
        return meter

    def _admit(self, refusal: RequestError | None) -> None:
        if refusal is not None:
            raise refusal
        self.opening.context.engine.get()  # one that is not ready says so at once
        self.start()

    def _answer(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                raise InvalidRequest("A message must be text with a JSON object, not binary.")
            self.receive(parse_object(message, "message"))
        except ClientLeft:
            pass  # the session was cancelled, or the channel will say so
        except RequestError as error:
            self.opening.context.metrics.refused(code_of(error))
            self.fail(error)

    def _is_busy(self) -> bool:
        return any(speaker.session.working for speaker in tuple(self.speakers))
