"""A server for a long time, with clients of all kinds: does it keep anything, or lose anything?

    python benchmarks/soak.py [--minutes 10] [--streams 64] [--json FILE]

The real server, one gunicorn worker, with the batched runtime's loop over a runner that takes as
long as a GPU does (see load.py).  ``--streams`` clients ask for speech in four formats and seven
voices, one request after the other.  A quarter as many others, in random order that is the same in
each run, hang up, read a byte now and then, stop in the middle of a request, send bad requests, and
add, use, change and delete voices with their consents.  Linux only.  One row for each minute:

- whole: streams that are byte for byte what the same request gives alone.  cut, slow, halves, bad,
  voices: what the others have done.  faults: what must not happen.
- first: from the start of a request to the first byte of its body.
- memory_mb: resident, the median; threads, handles: of the worker, the most.

Then a row for each bar.  Python's objects, counted while nothing runs, may grow by 3 % from the end
of a warm-up of 20 s to the end.  So may the resident memory from the second fifth of the time to
the last, if there are five minutes: it takes some until the allocator has seen all that comes.
What ``malloc`` has given out while nothing runs may grow by 4 MB: it varies by 3 MB from reading to
reading.  3 kB a request exceed that in the first minute, 250 bytes in the tenth.  Threads, file
handles, child processes, streams, voices and consents must be as before; the pool of threads may
stay.  The exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.process import Usage, usage
from benchmarks.lib.report import Row, options, percentiles, print_table, write_json
from benchmarks.lib.server import own_server
from benchmarks.lib.soak_clients import Clients, Fault, Tally

PLUGINS = Path(__file__).parent / "lib" / "plugins"
GROWTH = 0.03
MALLOC_MB = 4.0
WARM_UP_SECONDS = 20.0
RESIDENT_FROM_SECONDS = 300.0
SAMPLE_SECONDS = 0.5
LINGER_SECONDS = 12
"""Longer than a connection that was refused is kept."""
END_SECONDS = 60.0
"""How long the server may take to notice that the last clients have left."""
SPARE_THREADS = 16
"""Threads of the pool beyond the streams."""
KINDS = ("whole", "cut", "slow", "halves", "bad", "voices")


@dataclass
class Record:
    """What was seen during a run: tallies by minute, and the usage of the worker."""

    warm_up: Tally
    tallies: list[Tally] = field(default_factory=list)
    usages: list[list[Usage]] = field(default_factory=list)

    def rows(self) -> list[Row]:
        return [
            {
                "minute": minute,
                **{kind: tally.counts[kind] for kind in KINDS},
                "faults": tally.faults.total(),
                **percentiles("first", tally.first),
                "memory_mb": median(one.memory for one in found) / 1e6,
                "threads": max(one.threads for one in found),
                "handles": max(one.handles for one in found),
            }
            for minute, (tally, found) in enumerate(
                zip(self.tallies, self.usages, strict=True), start=1
            )
        ]

    def faults(self) -> Counter[str]:
        return sum((tally.faults for tally in self.tallies), self.warm_up.faults)

    def growth(self) -> float:
        """Return by which part the resident memory grew after the warm-up."""
        memory = [one.memory for found in self.usages for one in found]
        fifth = max(1, len(memory) // 5)
        return median(memory[-fifth:]) / median(memory[fifth : 2 * fifth]) - 1


class Server:
    """The server under test, as its probes and Linux show it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.worker: int = self.ready()["workers"][0]["pid"]

    def ready(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}/ready", timeout=60) as reply:
            body: dict[str, Any] = json.load(reply)
        return body

    def usage(self) -> Usage:
        return usage(self.worker)

    def limit(self) -> int:
        """Return how many streams may run."""
        return int(self.ready()["streams"]["limit"])

    def allocated(self) -> dict[str, int]:
        """Return Python's blocks and the bytes of ``malloc``."""
        found = self.ready()["engine"]["details"]["runner"]
        return {name: int(found[name]) for name in ("blocks", "bytes")}

    def running(self) -> int:
        """Return all that runs or waits."""
        found = self.ready()
        engine = found["engine"]
        counts = (found["streams"]["running"], engine["running"], engine["waiting"])
        return int(sum(counts) + engine["streams"])


async def watch(server: Server, clients: Clients, record: Record, seconds: float) -> None:
    """Record a run, in rows of a minute."""
    begun = time.monotonic()
    while (now := time.monotonic()) < begun + seconds:
        if now >= begun + 60 * len(record.tallies):
            clients.tally = Tally()
            record.tallies.append(clients.tally)
            record.usages.append([])
        record.usages[-1].append(server.usage())
        await asyncio.sleep(SAMPLE_SECONDS)


async def soak(
    server: Server, port: int, seconds: float, streams: int, disturbers: int
) -> tuple[Record, list[Row]]:
    """Run all clients; return what was seen, and the bars.

    Raises Fault where a request fails without a load.
    """
    clients = Clients(port)
    record = Record(clients.tally)
    fresh = server.usage()
    await clients.ask_alone()
    await asyncio.sleep(SAMPLE_SECONDS)  # the last connection ends
    alone = server.usage()
    most = replace(alone, threads=fresh.threads + server.limit() + SPARE_THREADS)
    await clients.run(min(WARM_UP_SECONDS, seconds), streams, disturbers)
    await _wait_for_end(server, most)
    before = await _least_allocated(server)
    await asyncio.gather(
        clients.run(seconds, streams, disturbers), watch(server, clients, record, seconds)
    )
    found, running = await _wait_for_end(server, most)
    after = await _least_allocated(server)
    bars = [
        bar("faults", record.faults().total(), 0),
        bar("growth of blocks, %", 100 * (after["blocks"] / before["blocks"] - 1), GROWTH * 100),
        bar("growth of malloc, MB", (after["bytes"] - before["bytes"]) / 1e6, MALLOC_MB),
        bar("running at the end", running, 0),
        bar("threads at the end", found.threads, most.threads),
        bar("handles at the end", found.handles, most.handles),
        bar("children at the end", found.children, most.children),
        bar("voices and consents left", await clients.left_over(), 0),
        bar("requests that differ after it", await _differ(clients), 0),
    ]
    if seconds >= RESIDENT_FROM_SECONDS:
        bars.append(bar("growth of resident memory, %", 100 * record.growth(), GROWTH * 100))
    return record, bars


async def _least_allocated(server: Server) -> dict[str, int]:
    """Return what stays allocated: connections that have been cut may linger for a while."""
    seen = []
    for _ in range(LINGER_SECONDS):
        await asyncio.sleep(1.0)
        seen.append(server.allocated())
    return {name: min(one[name] for one in seen) for name in seen[0]}


async def _differ(clients: Clients) -> int:
    try:
        await clients.ask_alone()
    except Fault:
        return 1
    return 0


async def _wait_for_end(server: Server, most: Usage) -> tuple[Usage, int]:
    """Wait until the worker holds no more than it may, within bounds; return what it holds."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        running = server.running()
        await asyncio.sleep(SAMPLE_SECONDS)  # the connection of the probe ends
        found = server.usage()
        back = (
            running == 0
            and found.threads <= most.threads
            and found.handles <= most.handles
            and found.children <= most.children
        )
        if back or time.monotonic() > deadline:
            return found, running


def bar(name: str, found: float, most: float) -> Row:
    return {"bar": name, "found": found, "most": most, "holds": found <= most}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--streams", type=int, default=64)
    chosen = parser.parse_args()
    disturbers = max(2, chosen.streams // 4)
    with tempfile.TemporaryDirectory() as data:
        variables = {
            "VOXCPM_ENGINE": "paced",
            "VOXCPM_PLUGINS_DIR": str(PLUGINS),
            "VOXCPM_DATA_DIR": data,
            "VOXCPM_WORKERS": "1",
            # Those that have hung up run until that is noticed: none may be refused.
            "VOXCPM_MAX_STREAMS": str(2 * (chosen.streams + disturbers)),
            "VOXCPM_HEAD_TIMEOUT": "2",
            "VOXCPM_BODY_TIMEOUT": "2",
            "LOAD_KEPT_STEPS": "0",
            "LOAD_MEMORY": "1",
            "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",  # which would count as given out
        }
        with own_server(variables) as url:
            port = urlsplit(url).port
            assert port is not None
            try:
                record, bars = asyncio.run(
                    soak(Server(url), port, chosen.minutes * 60, chosen.streams, disturbers)
                )
            except Fault as fault:
                sys.exit(f"The server fails without a load: {fault}")
    rows = record.rows()
    print_table(rows)
    for what, count in record.faults().items():
        print(f"{count} times: {what}")
    print()
    print_table(bars)
    missed = [row["bar"] for row in bars if not row["holds"]]
    print(f"missed: {', '.join(missed)}" if missed else "all bars hold")
    write_json(chosen.json, [*rows, *bars])
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
