"""``POST /v1/audio/speech``: the one route that everything else serves."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import ExitStack

from flask import Blueprint, Response, g, request

from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.resolve import Plan
from voxcpm_openai.speech import Speech
from voxcpm_openai.web import sse
from voxcpm_openai.web.auth import viewer
from voxcpm_openai.web.log import elapsed_ms, note
from voxcpm_openai.web.schemas import load_speech
from voxcpm_openai.web.state import state

blueprint = Blueprint("speech", __name__)

IGNORED = "x-voxcpm-ignored"
RATE = "x-audio-sample-rate"


@blueprint.post("/v1/audio/speech")
def create_speech() -> Response:
    """Speak a text: raw audio, or server-sent events, as it is made."""
    asked = load_speech(request)
    note(model=asked.model, format=asked.response_format, characters=len(asked.input))
    here = state()
    engine = here.running.get()
    utterance, plan = here.resolver.resolve(asked, engine, viewer())
    note(voice=utterance.voice.id)
    with ExitStack() as cleanup:
        cleanup.enter_context(here.streams.enter())
        speech = Speech(engine, utterance, plan, here.streams.turns)
        cleanup.callback(speech.close)
        # The whole stream is watched: an engine may also be slow between two chunks.
        cleanup.enter_context(
            here.watch.over(request.environ.get("gunicorn.socket"), speech.cancel)
        )
        pieces = sse.events(speech) if plan.sse else iter(speech)
        first = next(pieces)  # before the Response exists, so that a fault keeps its status
        note(first_byte_ms=elapsed_ms())
        return _reply(Body(first, pieces, speech, cleanup.pop_all()), plan)


class Body(Iterator[bytes]):
    """The rest of a reply: its first piece, then the others, and the cleaning up at the end.

    A failure here is raised into the WSGI server, which breaks the connection without the
    terminating chunk: a cut-off file must never be taken for a whole one.
    """

    def __init__(
        self, first: bytes, rest: Iterator[bytes], speech: Speech, cleanup: ExitStack
    ) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._speech = speech
        self._cleanup = cleanup
        self._notes = g.notes
        self._notes["broken"] = "client_left"  # unless it comes to an end, or breaks by itself

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._rest)
        except StopIteration:
            del self._notes["broken"]
            # Before the last byte is out: who has the whole may ask anew and must find a place.
            self.close()
            raise
        except ClientLeft as error:
            # The WSGI server's own word for it: no trace in the log, no further write.
            raise BrokenPipeError(errno.EPIPE, error.message) from error
        except Exception as error:
            self._notes["broken"] = type(error).__name__
            raise

    def close(self) -> None:
        """Stop the work, give the place back; the WSGI server calls this at every end."""
        self._notes["audio_s"] = round(self._speech.seconds, 2)
        self._cleanup.close()


def _reply(body: Body, plan: Plan) -> Response:
    response = Response(body, content_type=sse.CONTENT_TYPE if plan.sse else None)
    if plan.sse:
        response.headers["Cache-Control"] = "no-store"
    else:
        response.headers["Content-Type"] = plan.format.content_type
    response.headers["X-Accel-Buffering"] = "no"  # nginx: hand on each piece as it comes
    response.headers[RATE] = str(plan.rate)
    if plan.ignored:
        response.headers[IGNORED] = _header(plan.ignored)
    return response


def _header(names: tuple[str, ...]) -> str:
    """Join field names; a client chose some, so nothing odd may reach the header."""
    safe = [re.sub(r"[^\w.-]", "?", name, flags=re.ASCII)[:64] for name in names[:32]]
    return ", ".join(safe)
