"""``GET /v1/audio/speech/stream``: the WebSocket of vLLM-Omni and sglang-omni."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response

from voxcpm_openai.errors import ClientLeft, InvalidRequest, RequestError
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.web.schemas import load, speech_request
from voxcpm_openai.web.sockets.channel import Channel
from voxcpm_openai.web.sockets.conversation import PATIENCE, Conversation, Opening
from voxcpm_openai.web.sockets.handshake import upgrade
from voxcpm_openai.web.sockets.schemas import SpeechStreamOptions
from voxcpm_openai.web.sockets.speech_utterance import Config, StreamUtterance

blueprint = Blueprint("speech_socket", __name__)

CONFIG_SECONDS = 10.0
"""How long a client may take for the first ``session.config``."""
MAX_TEXT = 128 * 1024
"""The longest text of a message, in bytes."""
MAX_UTTERANCES = 16
"""Utterances of one client that are not over."""
DEFAULT_FORMAT = "wav"
NOT_SPOKEN = frozenset(SpeechStreamOptions().fields) | {"type", "speaker", "session", "input"}
"""Fields of a configuration that are not those of a speech request."""


@blueprint.get("/v1/audio/speech/stream")
@blueprint.get("/v1/audio/speech/stream", websocket=True)
def converse() -> Response:
    """Open a WebSocket for texts that come piece by piece, as vLLM-Omni and sglang-omni have it."""
    return upgrade(SpeechStream)


class SpeechStream(Conversation):
    """Says one utterance after another: binary messages do not tell whose audio they are."""

    def __init__(self, opening: Opening, channel: Channel) -> None:
        super().__init__(opening, channel)
        self._config: Config | None = None
        self._utterances: list[StreamUtterance] = []  # that are not over; the first is being said
        self._open: StreamUtterance | None = None  # the last of them, while its text comes
        self._count = 0
        self._closing = False
        self._changed = threading.Condition(threading.RLock())  # of all that is above
        self._timer = threading.Timer(CONFIG_SECONDS, self._be_late)
        self._timer.daemon = True
        self._handlers = {
            "session.config": self._configure,
            "input.text": self._add_text,
            "input.done": self._end_text,
            "session.close": self._close,
        }

    def start(self) -> None:
        """Wait for the first message; nothing is said before it."""
        self._timer.start()

    def run(self, refusal: RequestError | None) -> None:
        """Answer until either side closes."""
        try:
            super().run(refusal)
        finally:
            self._timer.cancel()

    def receive(self, message: dict[str, Any]) -> None:
        """Handle a message of the client."""
        kind = str(message.get("type"))[:64]
        handle = self._handlers.get(kind)
        if handle is None:
            known = ", ".join(self._handlers)
            raise InvalidRequest(f"There is no message {kind!r}, only: {known}.", param="type")
        if self._closing:
            raise InvalidRequest("The session is being closed.", param="type")
        if self._config is None and handle != self._configure:
            raise InvalidRequest("The first message must be 'session.config'.", param="type")
        handle(message)

    def fail(self, error: RequestError) -> None:
        """Answer with the error; without a valid configuration, that is the end."""
        if self._config is None:
            self.refuse(error)
        else:
            super().fail(error)

    def error_message(self, error: RequestError) -> dict[str, object]:
        """Return the message of an error."""
        named = {"code": error.code, "param": error.param}
        given = {name: value for name, value in named.items() if value is not None}
        return {"type": "error", "message": error.message, **given}

    def _be_late(self) -> None:
        if self._config is None:
            self.refuse(
                InvalidRequest(f"No 'session.config' came within {CONFIG_SECONDS:g} seconds.")
            )

    def _configure(self, message: dict[str, Any]) -> None:
        if self._open is not None:
            raise InvalidRequest(
                "An utterance is in progress: send 'input.done' before 'session.config'.",
                param="type",
            )
        nested = message.get("session")  # as sglang-omni's clients may send it
        fields = nested if isinstance(nested, dict) else message
        self._config = config = self._checked(fields)
        self._timer.cancel()
        if fields is nested:
            names = ("response_format", "stream_audio", "split_granularity")
            values = (config.output.format.name, config.streams, config.granularity)
            told = dict(zip(names, values, strict=True))
            self.channel.send_json({"type": "session.configured", **told})

    def _checked(self, fields: dict[str, Any]) -> Config:
        """Return a configuration.  Raises RequestError if something in it cannot be."""
        options = load(SpeechStreamOptions(), fields, strict=False)
        given = {name: value for name, value in fields.items() if name not in NOT_SPOKEN}
        if given.get("voice") is None:
            given["voice"] = fields.get("speaker")
        given["model"] = given.get("model") or self.opening.context.resolver.default_model
        given["response_format"] = given.get("response_format") or DEFAULT_FORMAT
        request = speech_request({**given, "input": ""})
        with self.open_session(request) as session:
            output = session.output
        streams = options.get("stream_audio", False)
        granularity = options.get("split_granularity", "none")
        words = options.get("word_timestamps", False)
        return Config(_made_as(request, output.rate, streams), output, streams, granularity, words)

    def _add_text(self, message: dict[str, Any]) -> None:
        text = message.get("text", "")
        if not isinstance(text, str):
            raise InvalidRequest("'text' must be a string.", param="text")
        if len(text.encode("utf-8", "replace")) > MAX_TEXT:
            raise InvalidRequest(f"'text' must have at most {MAX_TEXT >> 10} KiB.", param="text")
        if not text:
            return
        with self._changed:
            utterance = self._current()
            session = None if utterance.failed else utterance.session
            if session is None:
                utterance.buffer(text, self.opening.context.settings.max_input_chars)
                self._advance()
        if session is not None:
            try:
                session.append(text, timeout=PATIENCE)
            except ClientLeft:
                raise
            except RequestError as error:
                if not utterance.tells(error):
                    return
                raise
        self.characters += len(text)

    def _end_text(self, _: dict[str, Any]) -> None:
        with self._changed:
            utterance, self._open = self._current(), None
            utterance.finish()
            self._advance()

    def _close(self, _: dict[str, Any]) -> None:
        with self._changed:
            self._closing = True
            if self._open is not None:
                self._open.finish()
            self._advance()

    def _current(self) -> StreamUtterance:
        """Return the utterance whose text comes.  Raises InvalidRequest if too many wait."""
        if self._open is None:
            if not self._changed.wait_for(lambda: len(self._utterances) < MAX_UTTERANCES, PATIENCE):
                raise InvalidRequest(
                    f"{MAX_UTTERANCES} utterances wait to be spoken. Send this one later."
                )
            assert self._config is not None
            self._open = StreamUtterance(
                self._count, self._config, self.opening, self.channel, self._settle
            )
            self._count += 1
            self._utterances.append(self._open)
        return self._open

    def _advance(self) -> None:
        """Say the first utterance that has something to say; end those that are over."""
        while self._utterances:
            first = self._utterances[0]
            if first.over:
                first.send("session.done", total_sentences=first.sentences)
                self._utterances.pop(0)
                self._changed.notify_all()
            elif first.ready:
                self._begin(first)
            else:
                return
        if self._closing:
            self.channel.close()

    def _begin(self, utterance: StreamUtterance) -> None:
        try:
            session = self.open_session(utterance.config.request)
            try:
                utterance.begin(session)
            except RequestError:
                session.close()
                raise
        except ClientLeft:
            raise
        except RequestError as error:
            utterance.fail(error, self.error_message(error))
        else:
            self.say(session, utterance.handle)

    def _settle(self, utterance: StreamUtterance, error: RequestError | None) -> None:
        """Go on after the session of an utterance has ended, in the thread that said it."""
        with self._changed:
            if error is not None:
                utterance.fail(error, self.error_message(error))
            self._advance()


def _made_as(request: SpeechRequest, rate: int, streams: bool) -> SpeechRequest:
    """Return the request of the sessions: each sentence that is sent as a whole has its encoder."""
    if streams:
        return request
    return replace(request, response_format="pcm", sample_rate=rate)
