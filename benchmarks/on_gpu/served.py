"""The whole server over HTTP: its own gunicorn, one worker, and a crowd in this process.

The clients do nothing but note when each piece of their replies came; how a player would have
fared, that takes what there is and plays it at the speed of speech, is worked out afterwards.
"""

from __future__ import annotations

import http.client
import json
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import pairwise, product
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu.bench import Bench, Task
from benchmarks.on_gpu.listeners import arrival_times
from voxcpm_openai.load import PCM_RATE, underruns

NEEDED = ("flask", "flask_cors", "gunicorn", "marshmallow", "pluggy", "click", "av", "soundfile",
          "soxr")  # fmt: skip
VOICE, PRESET = "alloy", "voxcpm"
"""A voice with a clip, as most are, and the preset of ten steps."""
WAYS = (("burst", "pcm"), ("burst", "wav"), ("poisson", "pcm"))
"""How requests come, and the format that they ask for."""
MOST = 256
"""Streams that the server carries: the largest crowd."""
START_SECONDS = 240.0
"""How long the server may take until it is ready."""
PATIENCE = 120.0
"""Seconds without a byte after which a reply is given up."""
FIRST_BARS_MS = {("2", 1): 30.0}
"""The first bytes to reach on an H100, by model and streams."""

COLUMNS = {
    "model": "model",
    "format": "format",
    "streams": "streams",
    "arrivals": "arrivals",
    "requests": "requests",
    "faults": "faults",
    "first_p50_ms": "first byte ms p50",
    "first_p90_ms": "p90",
    "first_p99_ms": "p99",
    "bar_ms": "bar",
    "gap_ms": "longest wait ms",
    "underruns": "underruns",
    "rtf": "RTF",
    "rest_rtf": "behind the first",
    "audio_per_second": "audio-s/s",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A crowd.  ``faults``: replies that were refused or broke off, which count no further.

    ``first_...``: from connecting to the first byte of sound.  ``gap_ms``: the longest wait for a
    later piece.  ``underruns``: how often all that had come had been played.  ``rtf``: the median
    time until a reply's end by its length; ``rest_rtf``: behind its first piece.
    ``audio_per_second``: of all rounds together; what a Poisson crowd asks for is the bound of it.
    """

    model: str
    dtype: str
    format: str
    streams: int
    arrivals: str
    requests: int
    faults: int
    first_p50_ms: float | None
    first_p90_ms: float | None
    first_p99_ms: float | None
    bar_ms: float | None
    gap_ms: float
    underruns: int
    rtf: float | None
    rest_rtf: float | None
    audio_per_second: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Pieces of sound: when each came, in seconds since the asking, and how long it plays."""

    pieces: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long it plays altogether."""
        return sum(seconds for _, seconds in self.pieces)

    @property
    def first(self) -> float:
        """When the first sound came."""
        return self.pieces[0][0]

    @property
    def last(self) -> float:
        """When the last piece came."""
        return self.pieces[-1][0]

    @property
    def gap(self) -> float:
        """The longest wait for a later piece."""
        return max(
            (after - before for (before, _), (after, _) in pairwise(self.pieces)), default=0.0
        )

    @property
    def rest_rtf(self) -> float:
        """The time from the first piece to the last, by the length of all but the first."""
        rest = self.seconds - self.pieces[0][1]
        return (self.last - self.first) / rest if rest else 0.0


class Served:
    """A server on the checkpoint of a model, ready."""

    def __init__(self, bench: Bench, model: str) -> None:
        """Raise RuntimeError where it does not start; its own words go where ours go."""
        import click

        from benchmarks.server import own_server  # late: it needs the server's packages

        folder = bench.folder(model)
        variables = {
            "VOXCPM_ENGINE": "voxcpm",
            "VOXCPM_MODEL": str(folder.resolve()),
            "VOXCPM_DEVICE": bench.device.type,
            "VOXCPM_DTYPE": bench.dtype,
            "VOXCPM_CUDA_GRAPHS": "true",
            "VOXCPM_KERNELS": bench.kernels,
            "VOXCPM_MAX_STREAMS": str(MOST),
            "XDG_CACHE_HOME": str(folder.parent.resolve() / "cache"),
            "XDG_DATA_HOME": str(folder.parent.resolve() / "data"),
        }
        self._stack = ExitStack()
        begun = time.perf_counter()
        try:
            self.url = self._stack.enter_context(own_server(variables, START_SECONDS))
        except click.ClickException as error:
            raise RuntimeError(error.message) from error
        print(f"the server was ready in {time.perf_counter() - begun:.0f} s", flush=True)

    def close(self) -> None:
        """Stop it."""
        self._stack.close()


def missing(_: Bench) -> list[str]:
    """Return the packages that this part needs and this machine has not."""
    return [name for name in NEEDED if find_spec(name) is None]


def tasks(bench: Bench) -> Iterator[Task]:
    """All crowds of a model before the next model; one and the most of ``first`` tell most."""
    ends = bench.scale.first[0], bench.scale.first[-1]
    counts = sorted({*bench.scale.first, max(bench.scale.listeners)})
    for model, streams, way in product(bench.scale.models, counts, WAYS):
        arrivals, audio_format = way
        if (arrivals == "poisson" and streams == 1) or (
            audio_format == "wav" and streams not in ends
        ):
            continue
        found = partial(measure, bench, model, streams, arrivals, audio_format)
        telling = way == WAYS[0] and streams in ends
        yield Task(f"{model}, {streams} streams, {arrivals}, {audio_format}", found, telling)


def measure(bench: Bench, model: str, streams: int, arrivals: str, audio_format: str) -> Row:
    """Let a crowd hear the server of a model, which stays for the next; each crowd warms it up."""
    url = bench.host(f"http {model}", partial(Served, bench, model)).url
    warm = [reply for reply in crowd(url, audio_format, [0.0] * streams) if reply is not None]
    if not warm:
        raise RuntimeError("the server does not speak; its own words are above.")
    times = arrival_times(arrivals, streams, warm[0].seconds, bench.scale.span)
    rounds = bench.scale.repeats * (4 if streams == 1 else 1) if arrivals == "burst" else 1
    replies: list[Reply | None] = []
    begun = time.perf_counter()
    for _ in range(rounds):
        replies += crowd(url, audio_format, times)
    seconds = time.perf_counter() - begun
    good = [reply for reply in replies if reply is not None]
    firsts = [reply.first * 1e3 for reply in good]
    p50, p90, p99 = np.percentile(firsts, (50, 90, 99)).tolist() if firsts else (None,) * 3
    true = bench.scale.size == "true"
    return Row(
        model=model,
        dtype=bench.dtype,
        format=audio_format,
        streams=streams,
        arrivals=arrivals,
        requests=len(replies),
        faults=len(replies) - len(good),
        first_p50_ms=p50,
        first_p90_ms=p90,
        first_p99_ms=p99,
        bar_ms=FIRST_BARS_MS.get((model, streams)) if true else None,
        gap_ms=max((reply.gap for reply in good), default=0.0) * 1e3,
        underruns=sum(underruns(reply.pieces)[0] for reply in good),
        rtf=median(reply.last / reply.seconds for reply in good) if good else None,
        rest_rtf=median(reply.rest_rtf for reply in good) if good else None,
        audio_per_second=sum(reply.seconds for reply in good) / seconds,
    )


def crowd(url: str, audio_format: str, times: Sequence[float]) -> list[Reply | None]:
    """Let clients come at these times; return what they got, None for no whole reply."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(times)) as pool:
        futures = []
        for seed, moment in enumerate(times):
            time.sleep(max(0.0, begun + moment - time.perf_counter()))
            futures.append(pool.submit(ask, url, audio_format, seed))
        return [future.result() for future in futures]


def ask(url: str, audio_format: str, seed: int) -> Reply | None:
    """Ask for speech, and note when each piece of it comes."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE)
    fields = {"model": PRESET, "voice": VOICE, "input": TEXT, "seed": seed}
    body = json.dumps({**fields, "response_format": audio_format})
    headers = {"Content-Type": "application/json", "Connection": "close"}
    pieces: list[tuple[float, bytes]] = []
    asked = time.perf_counter()
    try:
        connection.request("POST", "/v1/audio/speech", body, headers)
        response = connection.getresponse()
        while piece := response.read1(65536):  # raises where the last chunk never comes
            pieces.append((time.perf_counter() - asked, piece))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return weigh(pieces, audio_format) if response.status == http.client.OK else None


def weigh(pieces: Sequence[tuple[float, bytes]], audio_format: str) -> Reply | None:
    """Return how long each piece of 16-bit sound plays; None where there is no sound.

    A wav's header is no sound: who has it alone hears nothing yet.
    """
    header, per_second = 0, 2 * PCM_RATE
    if audio_format == "wav":
        body = b"".join(piece for _, piece in pieces)
        header = body.find(b"data") + 8
        (per_second,) = struct.unpack_from("<I", body, 28)
    sounds: list[tuple[float, float]] = []
    for came, piece in pieces:
        length = max(0, len(piece) - header)
        header -= len(piece) - length
        if length:
            sounds.append((came, length / per_second))
    return Reply(tuple(sounds)) if sounds else None
