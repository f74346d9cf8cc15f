"""A server with many clients: is it Python, or the model, that sets the limit?

    python benchmarks/load.py [--streams 1,64,128,256] [--formats pcm,mp3] [--json FILE]

The real server, one gunicorn worker, with the batched runtime's loop over a runner that takes as
long as a GPU does (5 ms a step and 0.2 ms a row, patches of 160 ms at 48 kHz) and repeats a clip.
A client sends its next request when it has played the last reply; with ``--greedy``, when it has
received it.  Linux only.

- first: from the start of the request, connecting included, to the first byte of the body.
- gap: the longest wait between two chunks.  underruns: how often a player that starts at the first
  byte has nothing left to play, of all replies.
- step, iteration: how long a step takes, and from one step to the next, medians: the device is idle
  between them.
- late: how long the engine's thread waits for the GIL when a step's flags are there.
- audio_per_second: seconds of audio received per second.
- cpu, ms for a second of audio: the request threads, the engine's thread, the worker's main thread,
  the client.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import (
    Row,
    counts,
    load_figures,
    options,
    percentiles,
    print_table,
    write_json,
)
from benchmarks.lib.server import own_server
from voxcpm_openai.load_test import LoadPlan, run

PLUGINS = Path(__file__).parent / "lib" / "plugins"
RAMP_SECONDS = 2.0  # the time within which the clients start
TEXTS = (
    "The ferry leaves at seven, and the last bus to the harbour goes at half past six, they said.",
    "She kept all the letters in a wooden box, tied with a ribbon that had once been a bright blue",
    "If the rain stops before noon, we will walk along the river to the mill and back to supper.",
    "Nobody knew who had painted the old door, but everyone agreed that it looked far better now.",
)
"""Each is one segment, seven seconds long."""


class Snapshot:
    """The server's runner, and the processor time of the server's threads, at a moment."""

    def __init__(self, url: str) -> None:
        with urllib.request.urlopen(f"{url}/ready", timeout=60) as reply:
            self.runner: dict[str, Any] = json.load(reply)["engine"]["details"]["runner"]
        self.moment = time.monotonic()
        self.cpu: dict[int, float] = {}
        for task in Path(f"/proc/{self.runner['process']}/task").iterdir():
            try:
                ran, _, _ = (task / "schedstat").read_text().split()
            except OSError:  # it has just ended
                continue
            self.cpu[int(task.name)] = int(ran) / 1e9

    def cpu_since(self, before: Snapshot) -> Mapping[str, float]:
        names = {self.runner["thread"]: "engine", self.runner["process"]: "main"}
        spent = {"requests": 0.0, "engine": 0.0, "main": 0.0}
        for thread, seconds in self.cpu.items():
            spent[names.get(thread, "requests")] += seconds - before.cpu.get(thread, 0.0)
        return spent


def measure(plan: LoadPlan) -> Row:
    before: list[Snapshot] = []
    report = run(plan, on_start=lambda: before.append(Snapshot(plan.url)))
    begun, after = before[0], Snapshot(plan.url)
    assert plan.duration is not None
    end = begun.moment + plan.duration
    steps = [step for step in after.runner["steps"] if begun.moment <= step[0] <= end]
    audio = report.audio_per_second * report.seconds
    spent = {**after.cpu_since(begun), "client": report.client_cpu}
    return {
        "format": plan.format,
        **plan.fields,
        **load_figures(report),
        "step_ms": median(ends - begins for begins, _, ends, _ in steps) * 1e3,
        "iteration_ms": median(later[0] - sooner[0] for sooner, later in pairwise(steps)) * 1e3,
        **percentiles("late", [late for *_, late in steps]),
        **{f"{name}_cpu": seconds / audio * 1e3 for name, seconds in spent.items()},
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--streams", type=counts, default=(1, 64, 128, 256))
    parser.add_argument("--formats", default="pcm,wav,mp3,opus,aac,flac")
    parser.add_argument("--speeds", default="1")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--greedy", action="store_true", help="do not wait for the playback")
    chosen = parser.parse_args()
    variables = {
        "VOXCPM_ENGINE": "paced",
        "VOXCPM_PLUGINS_DIR": str(PLUGINS),
        "VOXCPM_MAX_STREAMS": str(max(chosen.streams)),
        "VOXCPM_WORKERS": "1",
    }
    rows = []
    with own_server({**os.environ, **variables}) as url:
        for name in chosen.formats.split(","):
            for speed in map(float, chosen.speeds.split(",")):
                for count in chosen.streams:
                    plan = LoadPlan(
                        url,
                        count,
                        texts=TEXTS,
                        format=name,
                        fields={"speed": speed},
                        duration=chosen.seconds,
                        playback=not chosen.greedy,
                        ramp=RAMP_SECONDS,
                    )
                    rows.append(measure(plan))
                    print(f"{name}, speed {speed:g}, {count} streams: done", flush=True)
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
