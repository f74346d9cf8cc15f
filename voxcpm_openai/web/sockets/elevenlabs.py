"""ElevenLabs' WebSockets: ``stream-input`` with one text, ``multi-stream-input`` with several."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response

from voxcpm_openai.errors import RequestError
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.elevenlabs import URL, speech_request
from voxcpm_openai.web.openapi.operation import operation
from voxcpm_openai.web.schemas import load
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Conversation, Opening
from voxcpm_openai.web.sockets.elevenlabs_context import Context
from voxcpm_openai.web.sockets.handshake import upgrade
from voxcpm_openai.web.sockets.schemas import ElevenLabsMessage, ElevenLabsQuery

blueprint = Blueprint("elevenlabs_socket", __name__)

DEFAULT_CONTEXT = "default"
"""The context of messages that name none."""


@blueprint.get(f"{URL}/stream-input")
@blueprint.get(f"{URL}/stream-input", websocket=True)
@operation(query=ElevenLabsQuery)
def stream_input(voice_id: str) -> Response:  # noqa: ARG001  # a variable of the URL
    """Open a WebSocket for one text, in ElevenLabs' API."""
    return upgrade(SingleConversation)


@blueprint.get(f"{URL}/multi-stream-input")
@blueprint.get(f"{URL}/multi-stream-input", websocket=True)
@operation(query=ElevenLabsQuery)
def multi_stream_input(voice_id: str) -> Response:  # noqa: ARG001
    """Open a WebSocket for several texts at once, in ElevenLabs' API."""
    return upgrade(MultiConversation)


class SocketConversation(Conversation):
    """What both sockets have in common."""

    def __init__(self, opening: Opening, channel: Channel) -> None:
        super().__init__(opening, channel)
        self.query: dict[str, Any] = {}
        self.patience = 0.0
        """Seconds that a text may wait for more of it."""

    def start(self) -> None:
        """Check the URL."""
        given = {name: value for name, value in self.opening.query.items() if value}
        self.query = load(ElevenLabsQuery(), given, strict=False)
        self.opening.context.voices.find(self.opening.path["voice_id"], self.opening.principal)
        self.patience = float(self.query["inactivity_timeout"])
        self.channel.idle = min(self.channel.idle, self.patience)
        self.open_session(self._request({})).close()  # raises if something in it cannot be

    def error_message(self, error: RequestError) -> dict[str, object]:
        """Return the message before the socket is closed."""
        return {"message": error.message, "error": error.code or error.type, "code": 1008}

    def begin(self, id_: str | None, first: dict[str, Any]) -> Context:
        """Return a context that begins with this message, and is not said yet.

        Raises RequestError.
        """
        settings = {name: first[name] for name in ("voice_settings",) if name in first}
        return Context(
            id_,
            self.open_session(self._request(settings)),
            self.channel,
            self.ended,
            auto=bool(self.query.get("auto_mode")),
            absolute=bool(self.query.get("sync_alignment")),
        )

    def ended(self, context: Context, error: RequestError | None) -> None:
        """Tell the client that a context has ended; called once, in any thread."""
        raise NotImplementedError

    def append(self, context: Context, fields: dict[str, Any]) -> None:
        """Do what a message says about the text of a context."""
        text = fields.get("text", "")
        self.characters += len(text)
        context.append(text, flush=bool(fields.get("flush")))

    def _request(self, settings: dict[str, Any]) -> SpeechRequest:
        fields = {**self.query, **settings}
        return speech_request(
            self.opening.path["voice_id"],
            fields,
            self.query.get("output_format"),
            self.opening.context.resolver,
        )


class SingleConversation(SocketConversation):
    """One text; the server closes the socket after its audio."""

    def __init__(self, opening: Opening, channel: Channel) -> None:
        super().__init__(opening, channel)
        self._context: Context | None = None

    def receive(self, message: dict[str, Any]) -> None:
        """Add a text, or end it: by an empty one."""
        fields = load(ElevenLabsMessage(), message, strict=False)
        context = self._context
        if context is None:
            context = self._context = self.begin(None, fields)
            self.say(context.session, context.handle)
        if context.closing:
            return
        if fields.get("text") == "" or fields.get("close_socket"):
            context.close()
        else:
            self.append(context, fields)

    def fail(self, error: RequestError) -> None:
        """Close: there is no other text."""
        self.refuse(error)

    def ended(self, context: Context, error: RequestError | None) -> None:
        """Close."""
        if error is not None:
            self.refuse(error)
        else:
            self.channel.send_json({"isFinal": True, **context.named()})
            self.channel.close()


class MultiConversation(SocketConversation):
    """Several texts, each in a context, of which some may be spoken at once."""

    def __init__(self, opening: Opening, channel: Channel) -> None:
        super().__init__(opening, channel)
        self._contexts: dict[str, Context] = {}
        self._current: str | None = None  # the context of the message that is handled
        self._closing = False

    def receive(self, message: dict[str, Any]) -> None:
        """Do what a message says about its context."""
        named = message.get("context_id")
        self._current = id_ = named if isinstance(named, str) else DEFAULT_CONTEXT
        fields = load(ElevenLabsMessage(), message, strict=False)
        context = self._contexts.get(id_)
        if fields.get("close_socket"):
            self._close()
        elif fields.get("close_context"):
            if context is not None:  # else it has ended already
                context.close()
        elif context is None and fields.get("text"):  # an empty one keeps the socket open
            self._finish_forgotten()
            context = self._contexts[id_] = self.begin(id_, fields)
            self.say(context.session, context.handle)
            self.append(context, fields)
        elif context is not None and not context.closing:
            self.append(context, fields)
        elif fields.get("text"):
            problem = "The context is closed: begin another one, with another 'context_id'."
            self.channel.send_json({"error": problem, "contextId": id_})
        self._current = None

    def fail(self, error: RequestError) -> None:
        """End the context of the message, or the socket if it is not known which that is."""
        id_, self._current = self._current, None
        if id_ is None:
            self.refuse(error)
        elif (context := self._contexts.get(id_)) is not None:
            context.fail(error)
        else:
            self._send_error(id_, error)

    def ended(self, context: Context, error: RequestError | None) -> None:
        """Tell the client, and forget the context."""
        id_ = context.id or DEFAULT_CONTEXT
        self._contexts.pop(id_, None)
        if error is not None:
            self._send_error(id_, error)
        else:
            self.channel.send_json({"isFinal": True, **context.named()})
        self._close_if_done()

    def _send_error(self, id_: str, error: RequestError) -> None:
        """Send an error, and that the context has ended: clients wait for that."""
        self.channel.send_json({"error": error.message, "contextId": id_})
        self.channel.send_json({"isFinal": True, "contextId": id_})

    def _close(self) -> None:
        """Close the socket when all that was sent has been said."""
        self._closing = True
        for context in tuple(self._contexts.values()):
            if not context.closing:
                context.close()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._closing and not self._contexts:
            self.channel.close()

    def _finish_forgotten(self) -> None:
        """End the contexts for which nothing came for long: some clients leave them open."""
        late = time.monotonic() - self.patience
        for context in tuple(self._contexts.values()):
            if context.used < late and not context.closing:
                context.close()
