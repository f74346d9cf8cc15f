"""``GET /v1/realtime``: OpenAI's Realtime API as text to speech, which reads texts verbatim."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from voxcpm_openai.accounts.account import REQUESTS
from voxcpm_openai.accounts.rates import Budget
from voxcpm_openai.errors import InvalidRequest, RequestError, UnknownModel
from voxcpm_openai.session import SpeechSession
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.errors import envelope
from voxcpm_openai.web.fields import MAX_INSTRUCTIONS
from voxcpm_openai.web.rate_headers import NAMES
from voxcpm_openai.web.schemas import load
from voxcpm_openai.web.sockets import realtime_response as responses
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import Conversation, Opening
from voxcpm_openai.web.sockets.handshake import upgrade
from voxcpm_openai.web.sockets.realtime_items import Items, message, new_id
from voxcpm_openai.web.sockets.schemas import (
    REALTIME_FORMATS,
    RealtimeOptions,
    RealtimeResponse,
    RealtimeSession,
)

blueprint = Blueprint("realtime", __name__)

SUBPROTOCOL = "realtime"
LIFE_SECONDS = 60 * 60
"""What a session says of its end; it is not ended while it is used."""
PCM = {"type": "audio/pcm", "rate": 24_000}


@blueprint.get("/v1/realtime")
@blueprint.get("/v1/realtime", websocket=True)
def converse() -> Response:
    """Open a WebSocket: OpenAI's Realtime API."""
    return upgrade(RealtimeConversation, SUBPROTOCOL)


class RealtimeConversation(Conversation):
    """Reads the text of each response aloud.  There is no language model behind it."""

    def __init__(self, opening: Opening, channel: Channel) -> None:
        super().__init__(opening, channel)
        settings = opening.context.settings
        self._items = Items()
        self._id = new_id("conv")
        self._responses: dict[str, responses.Response] = {}
        self._spoken: dict[str, responses.Response] = {}  # by the id of the item
        self._cause: str | None = None  # the id of the client's event that is handled
        self._session: dict[str, Any] = {
            "object": "realtime.session",
            "id": new_id("sess"),
            "type": "realtime",
            "model": "",
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "expires_at": int(time.time()) + LIFE_SECONDS,
            "audio": {
                "input": {"format": PCM, "transcription": None, "turn_detection": None},
                "output": {"format": PCM, "voice": settings.default_voice, "speed": 1.0},
            },
        }
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._update,
            "response.create": self._create_response,
            "response.cancel": self._cancel,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "input_audio_buffer.clear": lambda _: self.send("input_audio_buffer.cleared"),
        }

    def start(self) -> None:
        """Greet the client: it waits for that."""
        self._session["model"] = self._model(self.opening.query.get("model", ""))
        self.send("session.created", session=self._session)

    def receive(self, message: dict[str, Any]) -> None:
        """Handle an event of the client."""
        cause = message.get("event_id")
        self._cause = cause if isinstance(cause, str) else None
        handle = self._handlers.get(str(message.get("type")))
        if handle is None:
            raise InvalidRequest(
                f"This server reads texts aloud. It knows no {str(message.get('type'))[:64]!r}. "
                f"There are: {', '.join(self._handlers)}.",
                param="type",
                code="invalid_event",
            )
        handle(message)

    def send(self, type_: str, **fields: object) -> None:
        """Send an event."""
        self.channel.send_json({"type": type_, "event_id": new_id("event"), **fields})

    def error_message(self, error: RequestError) -> dict[str, object]:
        """Return the event of an error."""
        fields = envelope(error.message, error.type, error.param, error.code)["error"]
        return {
            "type": "error",
            "event_id": new_id("event"),
            "error": {**fields, "event_id": self._cause},
        }

    def _update(self, event: dict[str, Any]) -> None:
        given = _options(RealtimeSession(), event, "session")
        session = self._with(given)
        if model := given.get("model"):
            session["model"] = self._model(model)
        self._request(session, "").close()  # raises if something in it cannot be
        self._session = session
        self.send("session.updated", session=session)

    def _create_response(self, event: dict[str, Any]) -> None:
        given = _options(RealtimeResponse(), event, "response")
        text = self._items.text_of(given.get("input"))
        if not text.strip():
            raise InvalidRequest(
                "There is nothing to read aloud: a response needs 'input' with a message that has "
                "an 'input_text', or an item of the conversation that has not been read.",
                param="response.input",
            )
        options = self._with(given)
        kept = given.get("conversation") != "none"
        output = options["audio"]["output"]
        shape = {
            "conversation_id": self._id if kept else None,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "metadata": given.get("metadata"),
        }
        session = self._request(options, text)
        response = responses.Response(session, text, self.send, shape, self._ended(kept))
        self.characters += len(text)
        self._responses[response.id] = self._spoken[response.item_id] = response
        response.begin()
        self.send("rate_limits.updated", rate_limits=self._rates())
        self.say(session, response.handle)

    def _rates(self) -> list[dict[str, object]]:
        """Return what the last charge left of the key's limits, else the server's streams."""
        account, limits = self.opening.account, self.opening.context.limits
        budgets = account.budgets if account else {}
        left = max(0, limits.limit - limits.running)
        return [
            {
                "name": NAMES[unit],
                "limit": budget.limit,
                "remaining": budget.remaining,
                "reset_seconds": round(budget.reset, 1),
            }
            for unit, budget in (budgets or {REQUESTS: Budget(limits.limit, left, 0.0)}).items()
        ]

    def _ended(self, kept: bool) -> Callable[[responses.Response], None]:
        """Return what is done at the end of a response; ``kept``: in the conversation."""

        def end(response: responses.Response) -> None:
            self._responses.pop(response.id, None)
            if len(self._spoken) > len(self._responses) + 64:
                self._spoken.pop(next(iter(self._spoken)))
            if kept:
                item = message(response.item_id, "completed", response.text)
                before = self._items.last()
                self._items.add(item)
                self.send("conversation.item.added", previous_item_id=before, item=item)
                self.send("conversation.item.done", previous_item_id=before, item=item)

        return end

    def _cancel(self, event: dict[str, Any]) -> None:
        id_ = event.get("response_id")
        running = [one for one in self._responses.copy().values() if id_ in (None, one.id)]
        if not running:
            raise InvalidRequest(
                "There is no response to cancel.", code="response_cancel_not_active"
            )
        for response in running:
            response.cancel()

    def _create_item(self, event: dict[str, Any]) -> None:
        given = event.get("item")
        if not isinstance(given, dict):
            raise InvalidRequest("'item' must be an object.", param="item")
        before = self._items.last()
        item = self._items.add(given, pending=given.get("role") != "assistant")
        self.send("conversation.item.added", previous_item_id=before, item=item)
        self.send("conversation.item.done", previous_item_id=before, item=item)

    def _retrieve_item(self, event: dict[str, Any]) -> None:
        self.send("conversation.item.retrieved", item=self._items.get(event.get("item_id")))

    def _delete_item(self, event: dict[str, Any]) -> None:
        self._items.delete(event.get("item_id"))
        self.send("conversation.item.deleted", item_id=event["item_id"])

    def _truncate_item(self, event: dict[str, Any]) -> None:
        id_, played = event.get("item_id"), event.get("audio_end_ms")
        response = self._spoken.get(id_) if isinstance(id_, str) else None
        if response is None:
            raise InvalidRequest("'item_id' is not an item that was spoken here.", param="item_id")
        if isinstance(played, bool) or not isinstance(played, int) or played < 0:
            raise InvalidRequest("'audio_end_ms' must be milliseconds.", param="audio_end_ms")
        found = response.interrupt(played)
        self.send(
            "conversation.item.truncated",
            item_id=id_,
            content_index=0,
            audio_end_ms=played,
            text_spoken=found.heard,
            text_remaining=found.left,
        )

    def _with(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the session with what a client has set."""
        session, audio = self._session, self._session["audio"]
        output = (given.get("audio") or {}).get("output") or {}
        changed = {name: value for name, value in output.items() if value is not None}
        if (format_ := changed.get("format")) is not None:
            type_ = format_["type"]
            changed["format"] = PCM if type_ == "audio/pcm" else {"type": type_}
        kept = {n: v for n, v in given.items() if n in session and n not in ("audio", "type")}
        return {**session, **kept, "audio": {**audio, "output": {**audio["output"], **changed}}}

    def _request(self, options: dict[str, Any], text: str) -> SpeechSession:
        """Return a session for a text.  Raises RequestError."""
        output = options["audio"]["output"]
        format_, rate = REALTIME_FORMATS[output["format"]["type"]]
        session = self.open_session(
            SpeechRequest(
                model=options["model"],
                input="",
                voice=output["voice"],
                response_format=format_,
                sample_rate=rate,
                speed=output["speed"],
                instructions=self._style(options["instructions"]),
            )
        )
        try:
            session.append(text)
            session.finish()
        except RequestError:
            session.close()
            raise
        return session

    def _style(self, instructions: str) -> str | None:
        """Return instructions for the engine: a language model's must not become a style."""
        if self.opening.context.settings.realtime_instructions == "ignore":
            return None
        if len(instructions) > MAX_INSTRUCTIONS:
            raise InvalidRequest(
                f"'instructions' must have at most {MAX_INSTRUCTIONS} characters.",
                param="instructions",
            )
        return instructions or None

    def _model(self, name: str) -> str:
        """Return the model of a client; OpenAI's realtime models all mean the default one."""
        resolver = self.opening.context.resolver
        try:
            return resolver.preset(name).id if name else resolver.default_model
        except UnknownModel:
            if "realtime" in name or name.startswith("gpt-audio"):
                return resolver.default_model
            raise


def _options(schema: RealtimeOptions, event: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the valid fields of an event's object.  Raises InvalidRequest."""
    given = event.get(name, {} if name == "response" else None)
    if not isinstance(given, dict):
        raise InvalidRequest(f"'{name}' must be an object.", param=name)
    return load(schema, given, strict=False)
