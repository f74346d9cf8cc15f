"""A well-behaved client beside hostile ones: what do they cost it?

    python benchmarks/hostile.py [--quick] [--checkout FOLDER] [--json FILE]

The real server, one gunicorn worker, with the batched runtime's loop over a runner that takes as
long as a GPU does (see load.py), and up to 64 streams.  The attacks come one after the other.
Meanwhile a client asks for a short speech again and again, each time on a new connection, in turn
without and with the attack.  The attackers are a process of low priority.  Linux only.

- opened: connections of the attackers, per second.
- calm, first: from the start of a request, connecting included, to the first byte of the body,
  without and with the attack.  failures: requests without a whole reply with status 200 within 2 s.
- ratio: p99 with the attack by p99 without it.
- holds: whether the client had no failure, and a p99 of at most 1.2 times that without the attack.

``--checkout``: measure the server of another checkout of this project.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.asker import ask_for, settle
from benchmarks.lib.attackers import FULL, QUICK, Attack, attacked
from benchmarks.lib.report import Row, options, percentiles, print_table, write_json
from benchmarks.lib.server import ROOT, own_server

PLUGINS = Path(__file__).parent / "lib" / "plugins"
BAR = 1.2

VARIABLES = {
    "VOXCPM_ENGINE": "paced",
    "VOXCPM_PLUGINS_DIR": str(PLUGINS),
    "VOXCPM_WORKERS": "1",
    "VOXCPM_HEAD_TIMEOUT": "2",  # so that half requests end, and others come, while it measures
    "VOXCPM_BODY_TIMEOUT": "2",
    "LOAD_KEPT_STEPS": "0",
}


def measure(url: str, attack: Attack, rounds: int, seconds: float) -> Row:
    port = urlsplit(url).port
    assert port is not None
    calm: list[float | None] = []
    under: list[float | None] = []
    opened, spent = 0, 0.0
    for _ in range(rounds):
        settle(url)
        calm += ask_for(port, seconds)
        with attacked(attack, port) as opened_so_far:
            begun = time.monotonic()
            before = opened_so_far.value
            if attack.settles:
                settle(url)
            under += ask_for(port, seconds)
            opened += opened_so_far.value - before
            spent += time.monotonic() - begun
    return row_of(attack, calm, under, opened / spent)


def row_of(
    attack: Attack, calm: Sequence[float | None], under: Sequence[float | None], opened: float
) -> Row:
    failures = sum(one is None for one in under)
    without = percentiles("calm", [one for one in calm if one is not None])
    beside = percentiles("first", [one for one in under if one is not None])
    p99, calm_p99 = beside["first_p99_ms"], without["calm_p99_ms"]
    ratio = None if p99 is None or calm_p99 is None else p99 / calm_p99
    return {
        "attack": attack.name,
        "clients": attack.clients,
        "opened": opened,
        "calm_requests": len(calm),
        "calm_failures": sum(one is None for one in calm),
        "calm_p50_ms": without["calm_p50_ms"],
        "calm_p99_ms": calm_p99,
        "requests": len(under),
        "failures": failures,
        "first_p50_ms": beside["first_p50_ms"],
        "first_p99_ms": p99,
        "ratio": ratio,
        "holds": not failures and (math.inf if ratio is None else ratio) <= BAR,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--quick", action="store_true", help="few attackers, a moment each")
    parser.add_argument("--checkout", type=Path, default=ROOT, metavar="FOLDER")
    chosen = parser.parse_args()
    attacks, rounds, seconds = (QUICK, 1, 0.3) if chosen.quick else (FULL, 3, 3.0)
    rows = []
    with own_server(VARIABLES, checkout=chosen.checkout) as url:
        for attack in attacks:
            rows.append(measure(url, attack, rounds, seconds))
            print(f"{attack.name}: done", flush=True)
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
