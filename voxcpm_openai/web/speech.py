"""``POST /v1/audio/speech``."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack

from flask import Blueprint, Response, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.cache.source import Source
from voxcpm_openai.errors import ClientLeft, SynthesisFailed
from voxcpm_openai.metrics.speech_meter import SpeechMeter
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.web import sse
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context, disconnect_watch
from voxcpm_openai.web.auth import current_account, current_principal
from voxcpm_openai.web.metering import open_meter, resolved
from voxcpm_openai.web.openapi.operation import SPEECH, json_body, operation
from voxcpm_openai.web.schemas import SpeechSchema, load_speech
from voxcpm_openai.web.synthesis import Frames, Synthesis

blueprint = Blueprint("speech", __name__)

IGNORED = "x-voxcpm-ignored"
RATE = "x-audio-sample-rate"
CACHE = "x-voxcpm-cache"
"""``miss`` if the speech was synthesized for this request, else ``hit``; absent without a cache."""
SPEECH_HEADERS = (RATE, IGNORED, CACHE)
"""Headers of the responses to a speech request."""


@blueprint.post("/v1/audio/speech")
@operation(
    json_body(SpeechSchema),
    sends={"audio/*": bytes, sse.MEDIA_TYPE: object},
    headers=SPEECH_HEADERS,
    raises=SPEECH,
)
def create_speech() -> Response:
    """Synthesize a text: raw audio or server-sent events, streamed as they are made.

    Each event is a line ``data: {...}``: ``speech.audio.delta`` with audio in base64, at the end
    ``speech.audio.done`` with the usage; then ``data: [DONE]``.  Raises UnknownModel.
    """
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
        kind = content_type or (sse.CONTENT_TYPE if output.sse else output.format.content_type)
        bill = Bill(current_account(), ctx.resolver.preset(asked.model).id, len(asked.input))
        holder, charge = bill.account.holder, bill.charge
        synthesis = Synthesis(ctx, engine, utterance, output, frames, holder, charge)
        cache = ctx.cache
        key = cache.key(engine, utterance, output, kind) if cache else None
        source: Source = cache.source(key, synthesis) if cache and key else synthesis
        cleanup.callback(bill.record, source)
        cleanup.callback(source.close)
        # The whole stream is watched: an engine may also be slow between two chunks.
        socket = request.environ.get("gunicorn.socket")
        cleanup.enter_context(disconnect_watch().watch(socket, source.cancel))
        first = next(source)  # before the Response exists, so that an error keeps its status
        bill.charge()  # a hit; a synthesis has charged already
        meter.audio(source.seconds)
        body = SpeechBody(first, source, meter, cleanup.pop_all())
        response = _response(body, kind, output, (*output.ignored, *ignored))
    if cache:
        cache.count(hit=source.hit)
        result = "hit" if source.hit else "miss"
        response.headers[CACHE] = result
        log_context(cache=result)
    return response


class Bill:
    """What a request costs its account: charged once, and recorded when it ends."""

    def __init__(self, account: Account, model: str, characters: int) -> None:
        self.account = account
        self._model = model
        self._characters = characters
        self._charged = False

    def charge(self) -> None:
        """Take what the request costs, the first time.  Raises RateLimited, Unauthorized."""
        if not self._charged:
            self.account.charge(1, self._characters)
            self._charged = True

    def record(self, source: Source) -> None:
        """Record what the client got, unless it was refused."""
        if self._charged:
            record(self.account, self._model, source, self._characters)


def record(account: Account, model: str, speech: Speech | Source, characters: int) -> None:
    """Record the synthesized part of a text of ``characters`` characters."""
    if speech.progress:
        account.record(model, 1, math.ceil(characters * speech.progress))


class SpeechBody(Iterator[bytes]):
    """The body of a response: the first chunk, the rest, and the cleanup at the end.

    An error is raised into the WSGI server, which closes the connection without the terminating
    chunk: a truncated file must not be taken for a whole one.
    """

    def __init__(
        self, first: bytes, source: Source, meter: SpeechMeter, cleanup: ExitStack
    ) -> None:
        self._first: bytes | None = first
        self._source = source
        self._meter = meter
        self._cleanup = cleanup

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            chunk = next(self._source)
        except StopIteration:
            if self._source.complete:
                self._meter.done()
            else:  # the client was told in an event
                self._meter.fail(SynthesisFailed("It ended with an error event."))
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
        self._meter.audio(self._source.seconds)
        return chunk

    def close(self) -> None:
        """Stop the work and give the permit back; the WSGI server calls this in any case."""
        self._cleanup.close()


def _response(
    body: SpeechBody, content_type: str, output: OutputSpec, ignored: tuple[str, ...]
) -> Response:
    response = Response(body)
    response.headers["Content-Type"] = content_type
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
