"""The check of a running server: what its clients send, and whether it answers as they expect."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

TIMEOUT = 60.0
"""Seconds without an answer after which a trial has failed."""
TEXT = "Hello there. It is good to hear you."
FAULTS = (OSError, ValueError, KeyError, TypeError, IndexError, http.client.HTTPException)
"""What a trial raises if there is no answer, or another one than clients understand."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a trial: ``client`` names whose requests it sends, ``what`` says which."""

    client: str
    what: str
    ok: bool
    milliseconds: int
    detail: str


class Caller:
    """Sends requests to one server."""

    def __init__(self, url: str, key: str | None) -> None:
        """``url``: without ``/v1``; a trailing ``/v1`` is dropped."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self.key = key
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(
        self, path: str, body: object = None, *, eleven: bool = False
    ) -> tuple[int, str, bytes]:
        """Return the status, the content type and the body of an answer.  Raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers(eleven=eleven)}
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as reply:
                return reply.status, reply.headers.get("Content-Type", ""), reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("Content-Type", ""), error.read()

    def open(self, path: str, *, eleven: bool = False) -> ClientConnection:
        """Open a WebSocket.  Raises OSError, WebSocketException."""
        scheme, _, rest = self.url.partition("://")
        url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}"
        headers = self.headers(eleven=eleven)
        return connect(
            url, additional_headers=headers, proxy=None, open_timeout=TIMEOUT, close_timeout=2
        )

    def headers(self, *, eleven: bool) -> dict[str, str]:
        """Return the headers with the key: OpenAI's, or ElevenLabs'."""
        if eleven:
            return {"xi-api-key": self.key or "none"}
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


Trial = Callable[[Caller], str]
"""Sends requests; returns what to tell of the answer.  Raises ``FAULTS`` if it is wrong."""


def findings(url: str, key: str | None) -> Iterator[Finding]:
    """Try a server, one trial after the other."""
    caller = Caller(url, key)
    for client, what, trial in TRIALS:
        begun = time.monotonic()
        try:
            ok, detail = True, trial(caller)
        except (*FAULTS, WebSocketException) as error:
            ok, detail = False, str(error) or type(error).__name__
        yield Finding(client, what, ok, round(1000 * (time.monotonic() - begun)), detail)


def _ready(caller: Caller) -> str:
    body = _json(caller.send("/ready"))
    return f"engine {body['engine']['name']}, {body['engine']['state']}"


def _models(caller: Caller) -> str:
    return _listed([model["id"] for model in _json(caller.send("/v1/models"))["data"]])


def _voices(caller: Caller) -> str:
    return _listed([voice["id"] for voice in _json(caller.send("/v1/voices"))["data"]])


def _speech(caller: Caller) -> str:
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy"}
    return _audio(caller.send("/v1/audio/speech", body), "audio/mpeg")


def _events(caller: Caller) -> str:
    body = {"model": "gpt-4o-mini-tts", "input": TEXT, "voice": "alloy", "stream_format": "sse"}
    data = _checked(caller.send("/v1/audio/speech", body), "text/event-stream")
    events = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
    if events[-1]["type"] != "speech.audio.done":
        raise ValueError(f"the last event is {events[-1]['type']}")
    return f"{len(events)} events, {events[-1]['usage']['total_tokens']} tokens"


def _refusal(caller: Caller) -> str:
    body = {"model": "tts-1", "input": "", "voice": "alloy"}
    status, _, data = caller.send("/v1/audio/speech", body)
    error = json.loads(data)["error"]
    if status != 400 or set(error) != {"message", "type", "param", "code"}:
        raise ValueError(f"an empty text is answered with {status} {sorted(error)}")
    return f"400 {error['type']}, param {error['param']}"


def _realtime(caller: Caller) -> str:
    with caller.open("/v1/realtime?model=gpt-realtime-2.1-mini") as socket:
        _expect(socket, "session.created")
        audio = {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}}
        session = {"type": "realtime", "output_modalities": ["audio"], "audio": audio}
        _send(socket, type="session.update", session=session)
        _expect(socket, "session.updated")
        content = [{"type": "input_text", "text": TEXT}]
        item = {"type": "message", "role": "user", "content": content}
        _send(socket, type="response.create", response={"conversation": "none", "input": [item]})
        samples = b""
        while (message := _receive(socket))["type"] != "response.done":
            if message["type"] == "response.output_audio.delta":
                samples += base64.b64decode(message["delta"])
        return f"{message['response']['status']}, {_seconds(samples)}"


def _eleven_voices(caller: Caller) -> str:
    body = _json(caller.send("/v1/voices", eleven=True))
    return _listed([voice["voice_id"] for voice in body["voices"]])


def _eleven_stream(caller: Caller) -> str:
    body = {"text": TEXT, "model_id": "eleven_flash_v2_5"}
    return _audio(caller.send("/v1/text-to-speech/alloy/stream", body, eleven=True), "audio/mpeg")


def _eleven_times(caller: Caller) -> str:
    path = "/v1/text-to-speech/alloy/with-timestamps"
    body = _json(caller.send(path, {"text": TEXT}, eleven=True))
    return f"{len(body['alignment']['characters'])} characters"


def _eleven_input(caller: Caller) -> str:
    path = "/v1/text-to-speech/alloy/stream-input?output_format=pcm_24000"
    with caller.open(path, eleven=True) as socket:
        for text in (" ", *(f"{word} " for word in TEXT.split()), ""):
            _send(socket, text=text)
        samples = b""
        try:
            while True:
                samples += base64.b64decode(_receive(socket).get("audio") or "")
        except ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code != 1000:
                raise
        return _seconds(samples)


def _eleven_contexts(caller: Caller) -> str:
    path = "/v1/text-to-speech/alloy/multi-stream-input?output_format=pcm_24000"
    with caller.open(path, eleven=True) as socket:
        for fields in ({"text": " "}, {"text": f"{TEXT} "}, {"close_context": True}):
            _send(socket, context_id="check", **fields)
        samples = b""
        while (message := _receive(socket)).get("isFinal") is not True:
            samples += base64.b64decode(message.get("audio") or "")
        return _seconds(samples)


def _batch(caller: Caller) -> str:
    body = {"items": [{"input": TEXT}, {"input": TEXT}], "voice": "alloy"}
    reply = _json(caller.send("/v1/audio/speech/batch", body))
    if reply["succeeded"] != 2:
        raise ValueError(f"{reply['failed']} of 2 texts failed")
    return "2 texts"


def _stream(caller: Caller) -> str:
    with caller.open("/v1/audio/speech/stream") as socket:
        _send(socket, type="session.config", voice="alloy", response_format="pcm")
        _send(socket, type="input.text", text=TEXT)
        _send(socket, type="input.done")
        samples, kind = b"", ""
        while kind != "session.done":
            message = socket.recv(TIMEOUT)
            if isinstance(message, bytes):
                samples += message
                continue
            kind = (fields := json.loads(message))["type"]
            if kind == "error":
                raise ValueError(fields["message"])
        return _seconds(samples)


TRIALS: tuple[tuple[str, str, Trial], ...] = (
    ("server", "/ready", _ready),
    ("OpenAI", "models", _models),
    ("OpenAI", "voices", _voices),
    ("OpenAI", "speech, mp3", _speech),
    ("OpenAI", "speech, events", _events),
    ("OpenAI", "an error", _refusal),
    ("OpenAI", "Realtime", _realtime),
    ("ElevenLabs", "voices", _eleven_voices),
    ("ElevenLabs", "stream", _eleven_stream),
    ("ElevenLabs", "with-timestamps", _eleven_times),
    ("ElevenLabs", "stream-input", _eleven_input),
    ("ElevenLabs", "multi-stream-input", _eleven_contexts),
    ("vLLM-Omni", "batch", _batch),
    ("vLLM-Omni", "speech/stream", _stream),
)
"""Whose requests are sent, which, and how."""


def _checked(answer: tuple[int, str, bytes], kind: str) -> bytes:
    """Return the body of an answer.  Raises ValueError for another status or content type."""
    status, content_type, body = answer
    if status != http.client.OK:
        raise ValueError(f"status {status}: {body[:200].decode(errors='replace')}")
    if not content_type.startswith(kind):
        raise ValueError(f"the content type is {content_type!r}, not {kind}")
    return body


def _json(answer: tuple[int, str, bytes]) -> Any:
    return json.loads(_checked(answer, "application/json"))


def _audio(answer: tuple[int, str, bytes], kind: str) -> str:
    if not (body := _checked(answer, kind)):
        raise ValueError("there is no audio")
    return f"{len(body)} bytes"


def _seconds(samples: bytes) -> str:
    """Return the duration of 16-bit samples at 24 kHz.  Raises ValueError if there are none."""
    if not samples or len(samples) % 2:
        raise ValueError(f"{len(samples)} bytes are not 16-bit samples")
    return f"{len(samples) / 48_000:.1f} s of audio"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{len(names)}: {shown}{', ...' if len(names) > 4 else ''}"


def _send(socket: ClientConnection, **fields: object) -> None:
    socket.send(json.dumps(fields))


def _receive(socket: ClientConnection) -> Any:
    """Return the next message.  Raises ValueError if it is an error."""
    message = json.loads(socket.recv(TIMEOUT))
    if message.get("type") == "error" or "error" in message:
        error = message.get("error")
        raise ValueError(str(error.get("message") if isinstance(error, dict) else message))
    return message


def _expect(socket: ClientConnection, kind: str) -> None:
    if (found := _receive(socket)["type"]) != kind:
        raise ValueError(f"{found} came in the place of {kind}")
