"""HTTP requests beside voice agents on WebSockets: what do they cost each other?

    python benchmarks/sockets.py [--quick] [--json FILE]

The real server, one gunicorn worker.  Voice agents send texts of two sentences word by word, ten
words a second, listen to what comes, and go on with the next; in a fifth of the turns they hang up
at a random moment.  Meanwhile a client asks for a short speech again and again, in turn without and
beside them.  Agents are a process of low priority on the same machine.  Linux only.

- embedded: 64 agents on the embedded engine.  paced: 200 agents on the batched runtime's loop over
  a runner that takes as long as a GPU does (see load.py).
- calm, first: from the start of an HTTP request to the first byte of the body, without and beside
  the agents.  ratio: p50 beside them by p50 without.  failures: without a whole reply within 2 s.
- heard: an agent's time from the word that completes the first clause to the first audio.
- underruns: turns in which an agent's playback had to wait.  lost: turns that ended otherwise.
- left: sockets and streams that the server still counts when all agents have gone.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.asker import ask_for, settle
from benchmarks.lib.report import Row, options, percentiles, print_table, write_json
from benchmarks.lib.server import own_server
from benchmarks.lib.talkers import Talk, talking

PLUGINS = Path(__file__).parent / "lib" / "plugins"
HANG_UPS = 0.2
ENGINES = {
    "embedded": {"VOXCPM_ENGINE": "embedded"},
    "paced": {
        "VOXCPM_ENGINE": "paced",
        "VOXCPM_PLUGINS_DIR": str(PLUGINS),
        "VOXCPM_MAX_STREAMS": "256",
        "LOAD_KEPT_STEPS": "0",
    },
}
FULL = (("embedded", 8), ("embedded", 64), ("paced", 200))
QUICK = (("embedded", 2), ("paced", 4))


def counted(url: str) -> tuple[int, int]:
    """Return how many sockets are open and how many streams run."""
    with urllib.request.urlopen(f"{url}/ready", timeout=5) as reply:
        body: dict[str, Any] = json.load(reply)
    return body["sockets"]["open"], body["streams"]["running"]


def measure(engine: str, agents: int, seconds: float) -> Row:
    with own_server({**ENGINES[engine], "VOXCPM_WORKERS": "1"}) as url:
        port = urlsplit(url).port
        assert port is not None
        ask_for(port, seconds / 4)
        calm = ask_for(port, seconds)
        with talking(port, agents, HANG_UPS) as seen:
            under = ask_for(port, seconds)
        settle(url)
        return row_of(engine, agents, calm, under, seen[0], sum(counted(url)))


def row_of(
    engine: str,
    agents: int,
    calm: list[float | None],
    under: list[float | None],
    talk: Talk,
    left: int,
) -> Row:
    without = percentiles("calm", [one for one in calm if one is not None])
    beside = percentiles("first", [one for one in under if one is not None])
    p50, calm_p50 = beside["first_p50_ms"], without["calm_p50_ms"]
    heard = percentiles("heard", talk.first)
    return {
        "engine": engine,
        "agents": agents,
        "calm_p50_ms": calm_p50,
        "calm_p99_ms": without["calm_p99_ms"],
        "requests": len(under),
        "failures": sum(one is None for one in under),
        "first_p50_ms": p50,
        "first_p99_ms": beside["first_p99_ms"],
        "ratio": p50 / calm_p50 if p50 and calm_p50 else None,
        "turns": talk.turns,
        "hang_ups": talk.hang_ups,
        "lost": talk.failures,
        "heard_p50_ms": heard["heard_p50_ms"],
        "heard_p99_ms": heard["heard_p99_ms"],
        "underruns": talk.underruns,
        "left": left,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--quick", action="store_true", help="few agents, a moment each")
    chosen = parser.parse_args()
    rows = []
    for engine, agents in QUICK if chosen.quick else FULL:
        rows.append(measure(engine, agents, 1.0 if chosen.quick else 20.0))
        print(f"{engine}, {agents} agents: done", flush=True)
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
