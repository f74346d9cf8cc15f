"""Load test: many speech requests at once against any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import numpy as np

from voxcpm_openai.errors import VoxcpmError
from voxcpm_openai.load_client import HTTPReply, Recording, parse, post
from voxcpm_openai.playout import PlayoutClock

TEXTS = (
    "The ferry leaves at seven, and the last bus to the harbour goes at half past six.",
    "She kept the letters in a wooden box, tied with a ribbon that had once been blue.",
    "If the rain stops before noon, we will walk along the river to the old mill.",
    "Nobody knew who had painted the door, but everyone agreed that it looked better.",
)
"""The default texts, about five seconds each."""

PCM_RATE = 24000
"""OpenAI's ``pcm`` names no rate: it is 24 kHz, 16 bit, mono."""


class LoadError(VoxcpmError):
    """The load test cannot run: an invalid plan, or a server that fails its first request."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Which requests to send, and when.

    ``url`` may end in ``/v1`` or not.  ``texts`` are used in rotation.  ``pcm`` is the lightest
    format to measure; others are decoded after the run.  ``fields``: more fields of each request.

    ``streams`` clients send ``requests`` in all, or send requests for ``duration`` seconds.  Each
    sends the next request when it has the reply, or, with ``playback``, when it has played it.
    They start within ``ramp`` seconds.  With ``arrivals``, each request is sent by a client of its
    own after that many seconds, and this is repeated ``rounds`` times; ``requests`` has no meaning.

    Raises LoadError for an invalid plan.
    """

    url: str
    streams: int = 1
    requests: int = 16
    texts: tuple[str, ...] = TEXTS
    voice: str = "alloy"
    model: str = "tts-1"
    format: str = "pcm"
    api_key: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    duration: float | None = None
    playback: bool = False
    ramp: float = 0.0
    arrivals: tuple[float, ...] = ()
    rounds: int = 1

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
    """The figures of one request.  Times in seconds since its start, connecting included.

    ``fault`` is None for a complete reply of decodable audio; otherwise the status, ``truncated``,
    ``no answer`` or ``no sound``, with an explanation in ``detail``, and the rest is zero.
    ``audio`` is the length of the audio, ``longest_gap`` the longest wait between two chunks,
    ``rest_rtf`` the time after the first chunk by the audio after it; for ``underruns`` and
    ``underrun_seconds`` see ``underruns()``.
    """

    fault: str | None = None
    detail: str = ""
    first_byte: float = 0.0
    total: float = 0.0
    audio: float = 0.0
    longest_gap: float = 0.0
    underruns: int = 0
    underrun_seconds: float = 0.0
    rest_rtf: float = 0.0

    @classmethod
    def of(cls, chunks: Sequence[tuple[float, float]]) -> Reply:
        """Sum up chunks: when each arrived, and how long it plays.  There is at least one."""
        times = [at for at, _ in chunks]
        audio = sum(seconds for _, seconds in chunks)
        rest = audio - chunks[0][1]
        count, waited = underruns(chunks)
        return cls(
            first_byte=times[0],
            total=times[-1],
            audio=audio,
            longest_gap=max((b - a for a, b in itertools.pairwise(times)), default=0.0),
            underruns=count,
            underrun_seconds=waited,
            rest_rtf=(times[-1] - times[0]) / rest if rest else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles, linearly interpolated."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles | None:
        """Return None where there are no values."""
        array = np.fromiter(values, float)
        return cls(*np.percentile(array, (50, 90, 99)).tolist()) if len(array) else None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The figures of one run, without the warm-up, which has its own.

    Times in seconds; None where no reply was complete.  ``rtf``: a reply's total time by its
    seconds of audio.  ``audio_per_second``: seconds of audio that all streams received per second.
    ``client_cpu``: processor seconds of the client.  ``faults``: the number of each kind.
    """

    streams: int
    requests: int
    format: str
    seconds: float
    warm_up: Reply
    first_byte: Percentiles | None
    total: Percentiles | None
    rtf: Percentiles | None
    rest_rtf: Percentiles | None
    longest_gap: float
    underruns: int
    underrun_seconds: float
    audio_per_second: float
    client_cpu: float
    faults: dict[str, int]

    @classmethod
    def of(
        cls,
        plan: LoadPlan,
        warm_up: Reply,
        replies: Sequence[Reply],
        seconds: float,
        client_cpu: float = 0.0,
    ) -> LoadReport:
        """Sum up replies that took ``seconds`` all together."""
        good = [reply for reply in replies if reply.fault is None]
        return cls(
            streams=plan.streams,
            requests=len(replies),
            format=plan.format,
            seconds=seconds,
            warm_up=warm_up,
            first_byte=Percentiles.of(reply.first_byte for reply in good),
            total=Percentiles.of(reply.total for reply in good),
            rtf=Percentiles.of(reply.total / reply.audio for reply in good),
            rest_rtf=Percentiles.of(reply.rest_rtf for reply in good),
            longest_gap=max((reply.longest_gap for reply in good), default=0.0),
            underruns=sum(reply.underruns for reply in good),
            underrun_seconds=sum(reply.underrun_seconds for reply in good),
            audio_per_second=sum(reply.audio for reply in good) / seconds,
            client_cpu=client_cpu,
            faults=dict(Counter(reply.fault for reply in replies if reply.fault)),
        )


def underruns(chunks: Iterable[tuple[float, float]]) -> tuple[int, float]:
    """Count the buffer underruns of a player, and the seconds of silence that they cause.

    ``chunks``: when each arrived and how long it plays, both in seconds.  The player starts with
    the first, and waits for the next one whenever nothing is left.
    """
    count, waited = 0, 0.0
    clock: PlayoutClock | None = None
    for arrived, seconds in chunks:
        if clock is None:
            clock = PlayoutClock(arrived)
        elif arrived > clock.deadline:
            count += 1
            waited += arrived - clock.deadline
        clock.deliver(seconds, arrived)
    return count, waited


def run(
    plan: LoadPlan,
    on_reply: Callable[[], object] = lambda: None,
    on_start: Callable[[], object] = lambda: None,
) -> LoadReport:
    """Send a request to warm up, then run the plan, each request on a connection of its own.

    ``on_start`` is called after the warm-up, ``on_reply`` as each reply ends, both in the calling
    thread.  Raises LoadError where the warm-up fails: the rest would fail in the same way.
    """
    warm_up: dict[str, Reply] = {}
    for text in plan.texts if plan.playback else plan.texts[:1]:
        reply = warm_up[text] = _measure(asyncio.run(_ask(plan, text)), plan)
        if reply.fault is not None:
            raise LoadError(f"{plan.url} failed: {reply.fault}. {reply.detail}".rstrip())
    on_start()
    playing = {text: reply.audio for text, reply in warm_up.items()} if plan.playback else {}
    begun, cpu = time.perf_counter(), time.process_time()
    recordings = asyncio.run(_send(plan, playing, on_reply))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    seconds = max(seconds, plan.duration or 0.0)
    replies = [_measure(recording, plan) for recording in recordings]
    return LoadReport.of(plan, warm_up[plan.texts[0]], replies, seconds, cpu)


async def _send(
    plan: LoadPlan, playing: Mapping[str, float], on_reply: Callable[[], object]
) -> list[Recording]:
    """Run the clients of a plan.  ``playing``: how long the reply to each text is played."""
    recordings: list[Recording] = []
    limit = plan.requests if plan.duration is None else None
    texts = itertools.islice(itertools.cycle(plan.texts), limit)
    end = math.inf if plan.duration is None else time.monotonic() + plan.duration

    async def ask(wait: float, text: str) -> Recording:
        await asyncio.sleep(wait)
        recording = await _ask(plan, text)
        recordings.append(recording)
        on_reply()
        return recording

    async def stream(number: int) -> None:
        wait = plan.ramp * number / plan.streams
        while time.monotonic() + wait <= end:
            await asyncio.sleep(wait)
            if (text := next(texts, None)) is None:
                return
            recording = await ask(0.0, text)
            wait = recording.seconds_to_play(playing.get(text, 0.0))

    if not plan.arrivals:
        await asyncio.gather(*map(stream, range(plan.streams)))
        return recordings
    for _ in range(plan.rounds):
        await asyncio.gather(*map(ask, plan.arrivals, itertools.cycle(plan.texts)))
    return recordings


async def _ask(plan: LoadPlan, text: str) -> Recording:
    fields = {"model": plan.model, "input": text, "voice": plan.voice, **plan.fields}
    return await post(plan.endpoint, {**fields, "response_format": plan.format}, plan.api_key)


def _measure(recording: Recording, plan: LoadPlan) -> Reply:
    return measure(parse(recording.arrivals, recording.detail), plan.format)


def measure(reply: HTTPReply, audio_format: str) -> Reply:
    """Return the figures of a reply.

    A chunk plays for its share of the bytes of the body: exact for pcm and wav, and for the others
    as far as the bit rate is constant.
    """
    if reply.fault is not None:
        return Reply(reply.fault, reply.detail)
    body = b"".join(chunk for _, chunk in reply.chunks)
    audio = _seconds(body, audio_format)
    if not audio:
        return Reply("no sound", f"{len(body)} bytes that are not {audio_format}")
    # The header of a wav file alone is no audio yet.
    header = body.find(b"data") + 8 if audio_format == "wav" else 0
    sizes = []
    for at, chunk in reply.chunks:
        skipped = min(header, len(chunk))
        header -= skipped
        if len(chunk) > skipped:
            sizes.append((at, len(chunk) - skipped))
    whole = sum(size for _, size in sizes)
    return Reply.of([(at, audio * size / whole) for at, size in sizes])


@lru_cache(maxsize=16)  # the same text may be the same bytes each time
def _seconds(body: bytes, audio_format: str) -> float:
    """Return how long a body plays, in seconds; 0.0 if it cannot be decoded."""
    if audio_format == "pcm":
        return len(body) / 2 / PCM_RATE
    from voxcpm_openai.audio import duration  # late: other users of this module need no PyAV

    return duration(body)
