"""``POST /v1/audio/speech``."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from flask import Blueprint, Response, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.metrics.speech_meter import SpeechMeter
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.web import sse
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context, disconnect_watch
from voxcpm_openai.web.auth import current_account, current_principal
from voxcpm_openai.web.metering import open_meter, resolved
from voxcpm_openai.web.schemas import load_speech

blueprint = Blueprint("speech", __name__)

IGNORED = "x-voxcpm-ignored"
RATE = "x-audio-sample-rate"


Frames = Callable[[Speech], Iterator[bytes]]
"""Turns a speech into the bytes of a body."""


@blueprint.post("/v1/audio/speech")
def create_speech() -> Response:
    """Synthesize a text: raw audio or server-sent events, streamed as they are made."""
    return respond(
        load_speech(request),
        lambda speech: sse.events(speech) if speech.output.sse else iter(speech),
    )


def respond(
    asked: SpeechRequest,
    frames: Frames,
    content_type: str | None = None,
    ignored: tuple[str, ...] = (),
) -> Response:
    """Return the response to a speech request, streamed as it is made.

    ``content_type``: of the body, if it is neither audio nor events; ``ignored``: fields without
    effect, besides those that ``resolve`` finds.  Raises RequestError.
    """
    ctx = current_context()
    with ExitStack() as cleanup:
        meter = cleanup.enter_context(open_meter(asked))
        engine = ctx.engine.get()
        utterance, output = ctx.resolver.resolve(asked, engine, current_principal())
        resolved(meter, asked, utterance.voice)
        log_context(voice=utterance.voice.id)
        account, model = current_account(), ctx.resolver.preset(asked.model).id
        cleanup.enter_context(ctx.limits.enter(account.holder))
        account.charge(1, len(asked.input))
        speech = Speech(engine, utterance, output, ctx.limits.gate)
        cleanup.callback(record, account, model, speech, len(asked.input))
        cleanup.callback(speech.close)
        # The whole stream is watched: an engine may also be slow between two chunks.
        socket = request.environ.get("gunicorn.socket")
        cleanup.enter_context(disconnect_watch().watch(socket, speech.cancel))
        chunks = frames(speech)
        first = next(chunks)  # before the Response exists, so that an error keeps its status
        meter.audio(speech.seconds)
        body = SpeechBody(first, chunks, speech, meter, cleanup.pop_all())
        return _response(body, output, content_type, (*output.ignored, *ignored))


def record(account: Account, model: str, speech: Speech, characters: int) -> None:
    """Record what was made of a text of so many characters."""
    if speech.progress:
        account.record(model, 1, math.ceil(characters * speech.progress))


class SpeechBody(Iterator[bytes]):
    """The body of a response: the first chunk, the rest, and the cleanup at the end.

    An error is raised into the WSGI server, which closes the connection without the terminating
    chunk: a truncated file must not be taken for a whole one.
    """

    def __init__(
        self,
        first: bytes,
        rest: Iterator[bytes],
        speech: Speech,
        meter: SpeechMeter,
        cleanup: ExitStack,
    ) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._speech = speech
        self._meter = meter
        self._cleanup = cleanup

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            chunk = next(self._rest)
        except StopIteration:
            if self._speech.error is None:
                self._meter.done()
            else:  # the client was told in an event
                self._meter.fail(self._speech.error)
            # Before the last byte is sent: a client that has the whole body may send the next
            # request at once, and must find its permit free.
            self.close()
            raise
        except ClientLeft as error:
            # What the WSGI server expects of a disconnect: no traceback, no further write.
            raise BrokenPipeError(errno.EPIPE, error.message) from error
        except Exception as error:
            self._meter.fail(error)
            raise
        self._meter.audio(self._speech.seconds)
        return chunk

    def close(self) -> None:
        """Stop the work and give the permit back; the WSGI server calls this in any case."""
        self._cleanup.close()


def _response(
    body: SpeechBody, output: OutputSpec, content_type: str | None, ignored: tuple[str, ...]
) -> Response:
    kind = content_type or (sse.CONTENT_TYPE if output.sse else output.format.content_type)
    response = Response(body)
    response.headers["Content-Type"] = kind
    if output.sse:
        response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx: pass on each chunk as it comes
    response.headers[RATE] = str(output.rate)
    if ignored:
        response.headers[IGNORED] = header(ignored)
    return response


def header(names: tuple[str, ...]) -> str:
    """Join field names; a client chose some of them, so unsafe characters are replaced."""
    safe = [re.sub(r"[^\w.-]", "?", name, flags=re.ASCII)[:64] for name in names[:32]]
    return ", ".join(safe)
