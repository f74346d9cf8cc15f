"""A crowd of listeners: is it Python, or the model, that sets the limit?

    python benchmarks/crowd.py [--streams 1,64,128,256] [--formats pcm,mp3] [--json FILE]

The real server, one gunicorn worker, with the batched runtime's loop over a runner that takes as
long as a GPU works (5 ms a step and 0.2 ms a row, patches of 160 ms at 48 kHz), by itself as one
does, and gives a clip that is there already.  The client is one process that reads sockets as they
fill and decodes nothing.  Listeners ask again when they have heard a reply; with ``--greedy``, when
they have all of it.  Linux only.

- first byte: from the connect to the first byte of the body, ms.
- gap: the longest wait between two pieces, ms.  underruns: how often a player who starts at the
  first byte has nothing left to play, of all replies.
- step, turn: how long a step takes, and how long from one to the next, ms, medians: between them
  the device has nothing to do.
- late: how long the engine's thread waits for the GIL when a step's flags are there, ms, median and
  99 %.
- sound: seconds of sound that the listeners got in a second.
- CPU, ms for a second of sound: the threads of the requests, the engine's, the worker's main one;
  the client.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import av
import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.crowds import processor
from benchmarks.crowds.listeners import Reply, attend, request
from benchmarks.server import own_server
from voxcpm_openai.load import PCM_RATE, underruns

PLUGINS = Path(__file__).parent / "crowds" / "plugins"
TEXTS = (
    "The ferry leaves at seven, and the last bus to the harbour goes at half past six, they said.",
    "She kept all the letters in a wooden box, tied with a ribbon that had once been a bright blue",
    "If the rain stops before noon, we will walk along the river to the mill and back to supper.",
    "Nobody knew who had painted the old door, but everyone agreed that it looked far better now.",
)
"""Each is one segment, seven seconds long."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scene; the module says what the figures are."""

    format: str
    speed: float
    streams: int
    replies: int
    faults: int
    first_p50: float
    first_p99: float
    gap: float
    underruns: int
    step: float
    turn: float
    late_p50: float
    late_p99: float
    sound: float
    requests_cpu: float
    engine_cpu: float
    main_cpu: float
    client_cpu: float


def look(url: str) -> dict[str, Any]:
    """Return what the runner tells."""
    with urllib.request.urlopen(f"{url}/ready", timeout=60) as reply:
        runner: dict[str, Any] = json.load(reply)["engine"]["runner"]
        return runner


def play_times(url: str, requests: Sequence[bytes], audio_format: str) -> list[float]:
    """Ask for each text once; return how long each reply plays, in seconds."""
    seconds = []
    for body in requests:
        asked = urllib.request.Request(
            f"{url}/v1/audio/speech",
            body.partition(b"\r\n\r\n")[2],
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as reply:
            sound = reply.read()
        if audio_format == "pcm":
            seconds.append(len(sound) / 2 / PCM_RATE)
            continue
        with av.open(io.BytesIO(sound), "r") as container:
            frames = container.decode(container.streams.audio[0])
            seconds.append(sum(frame.samples / frame.sample_rate for frame in frames))
    return seconds


def measure(
    url: str, audio_format: str, speed: float, streams: int, *, seconds: float, greedy: bool
) -> Row:
    """Let a crowd listen, and look at the server before and after."""
    endpoint = urlsplit(url)
    assert endpoint.hostname is not None
    assert endpoint.port is not None
    requests = [request(endpoint.netloc, text, audio_format, speed) for text in TEXTS]
    played = play_times(url, requests, audio_format)
    runner = look(url)
    before, own = processor.threads(runner["process"]), time.process_time()
    begun = time.monotonic()
    replies = attend(
        (endpoint.hostname, endpoint.port),
        requests,
        streams,
        seconds=seconds,
        played=None if greedy else played,
    )
    lasted, own = time.monotonic() - begun, time.process_time() - own
    after, runner = processor.threads(runner["process"]), look(url)
    spent = processor.by_role(runner["process"], runner["thread"], before, after)
    good = [reply for reply in replies if reply.fault is None and reply.pieces]
    sound = sum(played[reply.text] for reply in good)
    steps = [step for step in runner["steps"] if begun <= step[0] <= begun + seconds]
    late = [seconds * 1e3 for *_, seconds in steps]
    first_p50, first_p99 = np.percentile(
        [(reply.pieces[0][0] - reply.asked) * 1e3 for reply in good], (50, 99)
    ).tolist()
    return Row(
        audio_format,
        speed,
        streams,
        len(replies),
        len(replies) - len(good),
        first_p50,
        first_p99,
        gap=max(_longest_wait(reply) for reply in good) * 1e3,
        underruns=sum(_dry(reply, played[reply.text]) for reply in good),
        step=median(ends - begins for begins, _, ends, _ in steps) * 1e3,
        turn=median(later[0] - sooner[0] for sooner, later in pairwise(steps)) * 1e3,
        late_p50=median(late),
        late_p99=float(np.percentile(late, 99)),
        sound=sound / lasted,
        requests_cpu=spent["requests"] / sound * 1e3,
        engine_cpu=spent["engine"] / sound * 1e3,
        main_cpu=spent["main"] / sound * 1e3,
        client_cpu=own / sound * 1e3,
    )


def _longest_wait(reply: Reply) -> float:
    return max((after - before for (before, _), (after, _) in pairwise(reply.pieces)), default=0.0)


def _dry(reply: Reply, seconds: float) -> int:
    whole = sum(size for _, size in reply.pieces)
    return underruns((at, seconds * size / whole) for at, size in reply.pieces)[0]


def print_row(row: Row) -> None:
    """Print a line under the heads."""
    click.echo(
        f"{row.format:7}{row.speed:5}{row.streams:8}{row.replies:8}{row.faults:7}"
        f"{row.first_p50:9.1f}{row.first_p99:9.1f}{row.gap:8.0f}{row.underruns:10}"
        f"{row.step:7.1f}{row.turn:7.1f}{row.late_p50:8.2f}{row.late_p99:8.2f}{row.sound:8.1f}"
        f"{row.requests_cpu:9.2f}{row.engine_cpu:8.2f}{row.main_cpu:7.2f}{row.client_cpu:8.2f}"
    )


HEADS = (
    "format speed streams replies faults first p50     p99     gap underruns"
    "   step   turn    late     99 %   sound requests  engine   main  client"
)


@click.command()
@click.option("--streams", default="1,64,128,256", show_default=True)
@click.option("--formats", default="pcm,wav,mp3,opus,aac,flac", show_default=True)
@click.option("--speeds", default="1", show_default=True)
@click.option("--seconds", type=click.FloatRange(min=1), default=10.0, show_default=True)
@click.option("--greedy", is_flag=True, help="Ask again at once, not when a reply was heard.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path))
def main(
    streams: str, formats: str, speeds: str, seconds: float, greedy: bool, out: Path | None
) -> None:
    """Measure the server under a crowd."""
    counts = [int(count) for count in streams.split(",")]
    os.environ |= {
        "VOXCPM_ENGINE": "paced",
        "VOXCPM_PLUGINS_DIR": str(PLUGINS),
        "VOXCPM_MAX_STREAMS": str(max(counts)),
        "VOXCPM_WORKERS": "1",
    }
    rows = []
    click.echo(HEADS)
    with own_server() as url:
        for name in formats.split(","):
            for speed in map(float, speeds.split(",")):
                for count in counts:
                    row = measure(url, name, speed, count, seconds=seconds, greedy=greedy)
                    print_row(row)
                    rows.append(row)
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
