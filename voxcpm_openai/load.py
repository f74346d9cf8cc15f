"""Load: many speech requests at once against any OpenAI-compatible server, and how they fared."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import numpy as np

from voxcpm_openai.errors import VoxcpmError

TEXTS = (
    "The ferry leaves at seven, and the last bus to the harbour goes at half past six.",
    "She kept the letters in a wooden box, tied with a ribbon that had once been blue.",
    "If the rain stops before noon, we will walk along the river to the old mill.",
    "Nobody knew who had painted the door, but everyone agreed that it looked better.",
)
"""What is spoken where nothing else is asked for: about five seconds each."""

PCM_RATE = 24000
"""OpenAI's ``pcm`` names no rate: it is 24 kHz, 16 bit, mono."""

PATIENCE = 300.0
"""Seconds without a byte after which a request is given up."""


class LoadError(VoxcpmError):
    """The load cannot be run: a wrong plan, or a server that does not serve its first request."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to ask, of whom, how often: ``requests`` in all, ``streams`` of them at a time.

    ``url`` may end in ``/v1`` or not.  ``texts`` are taken in turn.  ``pcm`` is the lightest
    format to measure; others are decoded, when all replies are in.
    Raises LoadError for a plan that makes no sense.
    """

    url: str
    streams: int = 1
    requests: int = 16
    texts: tuple[str, ...] = TEXTS
    voice: str = "alloy"
    model: str = "tts-1"
    format: str = "pcm"
    api_key: str | None = None

    def __post_init__(self) -> None:
        wrong = LoadError(f"{self.url!r} is no address; it should look like http://host:port.")
        try:
            scheme, host, port = self.endpoint.scheme, self.endpoint.hostname, self.endpoint.port
        except ValueError as error:  # a port that is no number
            raise wrong from error
        if scheme not in ("http", "https") or not host or port == 0:
            raise wrong
        if min(self.streams, self.requests, len(self.texts)) < 1:
            raise LoadError("At least one stream, one request and one text are needed.")

    @property
    def endpoint(self) -> SplitResult:
        """The address of ``/v1/audio/speech``."""
        base = urlsplit(self.url)
        path = base.path.rstrip("/").removesuffix("/v1")
        return base._replace(path=f"{path}/v1/audio/speech")


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request fared.  Times in seconds since it was begun, connecting included.

    ``fault`` is None for a whole reply of decodable sound; otherwise the status, ``truncated``,
    ``no answer`` or ``no sound``, ``detail`` what was said about it, and the rest is zero.
    ``audio`` is in seconds, ``longest_gap`` the longest wait between two pieces; ``underruns``
    and ``dry_seconds`` are what ``underruns()`` says.
    """

    fault: str | None = None
    detail: str = ""
    first_byte: float = 0.0
    total: float = 0.0
    audio: float = 0.0
    longest_gap: float = 0.0
    underruns: int = 0
    dry_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles, linearly interpolated."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return None where there are no values."""
        array = np.fromiter(values, float)
        return cls(*np.percentile(array, (50, 90, 99)).tolist()) if len(array) else None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The figures of one run; the warm-up is in none of them but its own.

    Times in seconds; None where no reply was whole.  ``rtf``: a reply's total time by its seconds
    of audio.  ``audio_per_second``: what all streams got together, in seconds of audio a second.
    ``faults``: how many of each kind.
    """

    streams: int
    requests: int
    format: str
    seconds: float
    warm_up: Reply
    first_byte: Spread | None
    total: Spread | None
    rtf: Spread | None
    longest_gap: float
    underruns: int
    dry_seconds: float
    audio_per_second: float
    faults: dict[str, int]

    @classmethod
    def of(
        cls, plan: LoadPlan, warm_up: Reply, replies: Sequence[Reply], seconds: float
    ) -> LoadReport:
        """Sum up replies that took ``seconds`` all together."""
        good = [reply for reply in replies if reply.fault is None]
        return cls(
            streams=plan.streams,
            requests=len(replies),
            format=plan.format,
            seconds=seconds,
            warm_up=warm_up,
            first_byte=Spread.of(reply.first_byte for reply in good),
            total=Spread.of(reply.total for reply in good),
            rtf=Spread.of(reply.total / reply.audio for reply in good),
            longest_gap=max((reply.longest_gap for reply in good), default=0.0),
            underruns=sum(reply.underruns for reply in good),
            dry_seconds=sum(reply.dry_seconds for reply in good),
            audio_per_second=sum(reply.audio for reply in good) / seconds,
            faults=dict(Counter(reply.fault for reply in replies if reply.fault)),
        )


def underruns(pieces: Iterable[tuple[float, float]]) -> tuple[int, float]:
    """Count how often a listener runs dry, and for how many seconds altogether.

    ``pieces``: when each arrived and how long it plays, both in seconds.  The listener starts to
    play at the first and waits, whenever nothing is left, for the next.
    """
    count, waited = 0, 0.0
    dry_at: float | None = None
    for arrived, seconds in pieces:
        if dry_at is None:
            dry_at = arrived
        elif arrived > dry_at:
            count += 1
            waited += arrived - dry_at
            dry_at = arrived
        dry_at += seconds
    return count, waited


def run(plan: LoadPlan, on_reply: Callable[[], object] = lambda: None) -> LoadReport:
    """Ask once to warm up, then ask as planned, each request on a connection of its own.

    ``on_reply`` is called as each reply ends, from the calling thread.  Raises LoadError where
    the warm-up fails: the rest would only fail in the same way.
    """
    warm_up = _measured(_ask(plan, plan.texts[0]), plan.format)
    if warm_up.fault is not None:
        raise LoadError(f"{plan.url} does not speak: {warm_up.fault}. {warm_up.detail}".rstrip())
    answers = []
    with ThreadPoolExecutor(plan.streams) as pool:
        begun = time.perf_counter()
        texts = itertools.islice(itertools.cycle(plan.texts), plan.requests)
        asked = [pool.submit(_ask, plan, text) for text in texts]
        try:
            for done in as_completed(asked):
                answers.append(done.result())
                on_reply()
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the whole plan
        seconds = time.perf_counter() - begun
    replies = [_measured(answer, plan.format) for answer in answers]
    return LoadReport.of(plan, warm_up, replies, seconds)


@dataclass(slots=True)
class _Answer:
    """What came over the wire: ``pieces`` are (seconds since the request began, bytes)."""

    fault: str | None
    detail: str
    total: float
    pieces: list[tuple[float, bytes]]


def _ask(plan: LoadPlan, text: str) -> _Answer:
    """Make one request and note when each piece of its reply comes."""
    endpoint = plan.endpoint
    secure = endpoint.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(str(endpoint.hostname), endpoint.port, timeout=PATIENCE)
    fault: str | None = "no answer"
    detail = ""
    pieces: list[tuple[float, bytes]] = []
    begun = time.perf_counter()
    try:
        connection.request("POST", endpoint.path, _body(plan, text), _headers(plan))
        response = connection.getresponse()
        fault, length = "truncated", response.length
        while piece := response.read1(65536):  # raises where the last chunk never comes
            pieces.append((time.perf_counter() - begun, piece))
        if response.status != http.client.OK:
            fault, detail = str(response.status), _message(pieces)
        elif length in (None, sum(len(piece) for _, piece in pieces)):
            fault = None
    except (OSError, http.client.HTTPException) as error:
        detail = str(error)
    finally:
        connection.close()
    return _Answer(fault, detail, time.perf_counter() - begun, pieces)


def _body(plan: LoadPlan, text: str) -> bytes:
    fields = {"model": plan.model, "input": text, "voice": plan.voice}
    return json.dumps({**fields, "response_format": plan.format}).encode()


def _headers(plan: LoadPlan) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if plan.api_key:
        headers["Authorization"] = f"Bearer {plan.api_key}"
    return headers


def _message(pieces: Sequence[tuple[float, bytes]]) -> str:
    """Return the message of OpenAI's error envelope, or the first line of whatever came."""
    text = b"".join(piece for _, piece in pieces).decode(errors="replace")
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip().partition("\n")[0][:200]


def _measured(answer: _Answer, audio_format: str) -> Reply:
    """Weigh an answer.

    How long a piece plays is its share of the body's bytes: exact for pcm, and as good as the
    bit rate is constant for the others (a header counts as sound too).
    """
    if answer.fault is not None:
        return Reply(answer.fault, answer.detail)
    body = b"".join(piece for _, piece in answer.pieces)
    audio = _seconds(body, audio_format)
    if not audio:
        return Reply("no sound", f"{len(body)} bytes that are not {audio_format}")
    times = [at for at, _ in answer.pieces]
    count, dry = underruns((at, audio * len(piece) / len(body)) for at, piece in answer.pieces)
    return Reply(
        first_byte=times[0],
        total=answer.total,
        audio=audio,
        longest_gap=max(
            (after - before for before, after in itertools.pairwise(times)), default=0.0
        ),
        underruns=count,
        dry_seconds=dry,
    )


def _seconds(body: bytes, audio_format: str) -> float:
    """Return how long a body plays; 0.0 where it cannot be decoded."""
    if audio_format == "pcm":
        return len(body) / 2 / PCM_RATE
    import av
    import av.error

    try:
        with av.open(io.BytesIO(body), "r") as container:
            frames = container.decode(container.streams.audio[0])
            return sum((frame.samples / frame.sample_rate for frame in frames), 0.0)
    except (av.error.FFmpegError, IndexError):  # not audio; audio, but of no stream
        return 0.0
