"""``POST /v1/audio/speech/batch``: several texts in one request, in the shape of vLLM-Omni."""

from __future__ import annotations

import base64
import json
import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Literal, TypedDict

from flask import Blueprint, Response, request

from voxcpm_openai.accounts.account import Account
from voxcpm_openai.contracts import Engine, Usage, Utterance
from voxcpm_openai.errors import (
    ClientLeft,
    InvalidRequest,
    Overloaded,
    RateLimited,
    RequestError,
)
from voxcpm_openai.limits import StreamLimiter
from voxcpm_openai.metrics.speech_meter import SpeechMeter, code_of
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context, disconnect_watch
from voxcpm_openai.web.auth import current_account, current_principal
from voxcpm_openai.web.body import check_values, json_object
from voxcpm_openai.web.fields import BatchItems
from voxcpm_openai.web.metering import open_item_meter, resolved
from voxcpm_openai.web.openapi.operation import SPEECH, json_body, operation
from voxcpm_openai.web.schemas import BatchItemSchema, BatchSchema, batch_items, speech_request
from voxcpm_openai.web.speech import IGNORED, header, record
from voxcpm_openai.web.sse import UsageObject, usage_json

logger = logging.getLogger(__name__)

blueprint = Blueprint("speech_batch", __name__)

MAX_ITEMS = BatchItems.MOST
MAX_BODY = 64 * 1024 * 1024
"""The largest body, in bytes, however long an input may be."""
MAX_AUDIO = 128 * 1024 * 1024
"""The most audio of a batch, in bytes: it is held until all of it is made."""
DEFAULT_FORMAT = "wav"


@dataclass(frozen=True, slots=True)
class Planned:
    """An item, as it was asked for and as it is resolved; ``model``: its id."""

    asked: SpeechRequest
    model: str
    utterance: Utterance
    output: OutputSpec
    meter: SpeechMeter


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an item: its audio, or an error."""

    audio: bytes = b""
    content_type: str = ""
    usage: Usage | None = None
    error: RequestError | None = None


class BatchResult(TypedDict):
    """What became of an item: its audio in base64, or an error."""

    index: int
    status: Literal["success", "error"]
    audio_data: str | None
    media_type: str | None
    error: str | None
    code: str | None
    param: str | None
    usage: UsageObject | None


class BatchResults(TypedDict):
    """The results of the items, in their order, and how many there are."""

    id: str
    results: list[BatchResult]
    total: int
    succeeded: int
    failed: int


def body_limit(single: int) -> int:
    """Return the largest body of a batch in bytes; ``single`` is that of a speech request."""
    return max(single, min(MAX_ITEMS * single, MAX_BODY))


@blueprint.post("/v1/audio/speech/batch")
@operation(
    json_body(BatchSchema, BatchItemSchema),
    sends={"application/json": BatchResults},
    headers=(IGNORED,),
    raises=SPEECH,
)
def create_batch() -> Response:
    """Synthesize up to 32 texts side by side; an error of one does not fail the others.

    Raises InvalidRequest, and Overloaded if there is no room for a single stream.
    """
    ctx = current_context()
    if request.max_content_length is not None:
        request.max_content_length = body_limit(request.max_content_length)
    fields = json_object(request)
    items = _items(fields)
    engine = ctx.engine.get()
    planned = [_plan({**fields, **_given(item)}, engine) for item in items]
    log_context(items=len(items), characters=sum(_length(item) for item in items))
    account = current_account()
    valid = [one for one in planned if isinstance(one, Planned)]
    with ExitStack() as cleanup:
        batch = _Batch(engine, ctx.limits, account, len(planned))
        cleanup.callback(batch.leave)
        cleanup.enter_context(ctx.engine.awake())
        account.charge(len(valid), sum(len(one.asked.input) for one in valid))
        socket = request.environ.get("gunicorn.socket")
        cleanup.enter_context(disconnect_watch().watch(socket, batch.cancel))
        results = batch.run(planned)
    log_context(failed=sum(result.error is not None for result in results))
    response = Response(_lines(results), content_type="application/json")
    if ignored := tuple(dict.fromkeys(name for one in valid for name in one.output.ignored)):
        response.headers[IGNORED] = header(ignored)
    return response


def _items(fields: dict[str, object]) -> list[dict[str, object]]:
    """Take the items out of a body; the other fields are those of all items.

    Raises InvalidRequest.
    """
    value = fields.pop("items", None)
    check_values(fields)
    return batch_items(value)


def _given(item: dict[str, object]) -> dict[str, object]:
    """Return the fields that an item sets: null leaves the value of all items."""
    return {name: value for name, value in item.items() if value is not None}


def _length(item: dict[str, object]) -> int:
    text = item.get("input")
    return len(text) if isinstance(text, str) else 0


def _plan(fields: dict[str, object], engine: Engine) -> Planned | RequestError:
    """Return what an item is resolved to, or what is wrong with it."""
    resolver = current_context().resolver
    fields = {"response_format": DEFAULT_FORMAT, **fields}
    if fields.get("model") is None:
        fields["model"] = resolver.default_model
    try:
        asked = speech_request(fields)
        with ExitStack() as recorded:
            meter = recorded.enter_context(open_item_meter(asked))
            utterance, output = resolver.resolve(asked, engine, current_principal())
            resolved(meter, asked, utterance.voice)
            recorded.pop_all()  # its thread will
    except RequestError as error:
        current_context().metrics.refused(code_of(error))
        return error
    return Planned(asked, resolver.preset(asked.model).id, utterance, output, meter)


class _Batch:
    """Synthesizes items side by side, each to its end."""

    def __init__(self, engine: Engine, limits: StreamLimiter, account: Account, items: int) -> None:
        """Take permits for as many streams as there is room for, at most one an item.

        Raises Overloaded or RateLimited if there is no room at all.
        """
        self._engine = engine
        self._account = account
        self._gate = limits.gate
        self._lock = threading.Lock()
        self._open: set[Speech] = set()
        self._cancelled = False
        self._size = 0
        self._unfinished = items
        holder = account.holder
        self._permits = [limits.enter(holder)]
        with suppress(Overloaded, RateLimited):
            for _ in range(1, items):
                self._permits.append(limits.enter(holder))

    def run(self, planned: Sequence[Planned | RequestError]) -> list[Result]:
        """Return the result of each item.  Raises ClientLeft."""
        with ThreadPoolExecutor(len(self._permits), thread_name_prefix="batch") as pool:
            results = list(pool.map(self._result, planned))
        if self._cancelled:
            raise ClientLeft
        return results

    def leave(self) -> None:
        """Give all permits back that are left."""
        self._keep(0)

    def _keep(self, count: int) -> None:
        """Give back what is more than this many permits."""
        while len(self._permits) > count:
            self._permits.pop().__exit__()

    def cancel(self) -> None:
        """End the work from any thread."""
        with self._lock:
            self._cancelled = True
            for speech in self._open:
                speech.cancel()

    def _result(self, planned: Planned | RequestError) -> Result:
        try:
            return self._made(planned)
        finally:
            with self._lock:
                self._unfinished -= 1
                self._keep(self._unfinished)

    def _made(self, planned: Planned | RequestError) -> Result:
        if isinstance(planned, RequestError):
            return Result(error=planned)
        try:
            with planned.meter:
                return self._synthesize(planned)
        except RequestError as error:
            return Result(error=error)
        except Exception:
            logger.exception("an item of a batch failed")
            return Result(error=RequestError("The server failed during synthesis."))

    def _synthesize(self, planned: Planned) -> Result:
        if self._cancelled:
            raise ClientLeft
        speech = Speech(self._engine, planned.utterance, planned.output, self._gate)
        with closing(speech):
            with self._lock:
                self._open.add(speech)
                if self._cancelled:
                    speech.cancel()
            try:
                parts = []
                for part in self._counted(speech):
                    planned.meter.audio(speech.seconds, live=False)
                    parts.append(part)
                planned.meter.done()
            finally:
                with self._lock:
                    self._open.discard(speech)
                record(self._account, planned.model, speech, len(planned.asked.input))
            return Result(b"".join(parts), planned.output.format.content_type, speech.usage)

    def _counted(self, speech: Speech) -> Iterator[bytes]:
        """Yield the audio.  Raises InvalidRequest if that of the batch is too large.

        What an item that fails has made is thrown away, which makes room for the others.
        """
        size = 0
        try:
            for chunk in speech:
                size += len(chunk)
                self._grow(len(chunk))
                yield chunk
        except BaseException:
            with self._lock:
                self._size -= size
            raise

    def _grow(self, size: int) -> None:
        with self._lock:
            self._size += size
            full = self._size > MAX_AUDIO
        if full:
            raise InvalidRequest(
                f"The audio of a batch is at most {MAX_AUDIO >> 20} MiB. Send fewer or shorter "
                "items, or ask for a compressed 'response_format'.",
                param="items",
            )


def _lines(results: Sequence[Result]) -> Iterator[bytes]:
    """Yield the JSON object of a batch, a result at a time: base64 is a third longer than audio."""
    yield f'{{"id":"speech_batch_{uuid.uuid4().hex}","results":['.encode()
    for index, result in enumerate(results):
        line = json.dumps(_result_json(index, result), ensure_ascii=False, separators=(",", ":"))
        yield ("," if index else "").encode() + line.encode("utf-8", "replace")
    failed = sum(result.error is not None for result in results)
    counts = {"total": len(results), "succeeded": len(results) - failed, "failed": failed}
    yield b"]," + json.dumps(counts, separators=(",", ":")).encode()[1:]


def _result_json(index: int, result: Result) -> BatchResult:
    error = result.error
    return {
        "index": index,
        "status": "success" if error is None else "error",
        "audio_data": None if error else base64.b64encode(result.audio).decode("ascii"),
        "media_type": result.content_type or None,
        "error": error.message if error else None,
        "code": error.code if error else None,
        "param": error.param if error else None,
        "usage": usage_json(result.usage) if result.usage else None,
    }
