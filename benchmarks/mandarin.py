"""Mandarin on the embedded engine: listeners at once, and English beside them.

    python benchmarks/mandarin.py [--repeats 3] [--requests 40] [--json FILE]

- listeners: one to three clients ask for the same Chinese text at once.  first: milliseconds until
  the first sound; gap: the longest time in which a client that plays from the first sound on has no
  audio; refused: clients that got ``overloaded``.  The first row loads the network.
- english: milliseconds until the first chunk of an English sentence, p50 and p99, without and with
  a Chinese listener all the time.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row, options, percentiles, print_table, write_json
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

CHINESE = (
    "今天天气很好，我们一起去公园散步吧。那里有一个很大的湖，湖边种着很多柳树，春天的时候特别漂亮。"
)
ENGLISH = "The ferry leaves at seven, and the last bus goes at half past six."


class Listener:
    """Asks for texts, and notes when sound comes."""

    def __init__(self, ctx: AppContext, engine: Engine) -> None:
        self._ctx = ctx
        self._engine = engine

    def play(self, text: str) -> tuple[float, float] | None:
        """Return the seconds until the first chunk and the longest gap; None if refused."""
        begun = time.perf_counter()
        request = SpeechRequest(model="embedded", input=text, voice="alloy")
        utterance, _ = self._ctx.resolver.resolve(request, self._engine, OPERATOR)
        rate = self._engine.capabilities.sample_rate
        first = gap = played = 0.0
        try:
            with closing(self._engine.synthesize(utterance)) as stream:
                for chunk in stream:
                    now = time.perf_counter() - begun
                    first = first or now
                    gap = max(gap, now - first - played)
                    played += len(chunk.samples) / rate
        except Overloaded:
            return None
        return first, gap

    def first(self, text: str) -> float:
        """Return the seconds until the first chunk, and cancel."""
        begun = time.perf_counter()
        request = SpeechRequest(model="embedded", input=text, voice="alloy")
        utterance, _ = self._ctx.resolver.resolve(request, self._engine, OPERATOR)
        with closing(self._engine.synthesize(utterance)) as stream:
            next(stream)
        return time.perf_counter() - begun


def together(listener: Listener, repeats: int) -> Iterator[Row]:
    """Yield a row for each number of clients."""
    for count in (1, *(number for number in (1, 2, 3) for _ in range(repeats))):
        with ThreadPoolExecutor(count) as pool:
            heard = list(pool.map(listener.play, [CHINESE] * count))
        served = [one for one in heard if one is not None]
        yield {
            "listeners": count,
            "first_ms": max(first for first, _ in served) * 1e3,
            "gap_ms": max(gap for _, gap in served) * 1e3,
            "refused": count - len(served),
        }


def beside(listener: Listener, requests: int) -> Iterator[Row]:
    """Yield the first chunk of English without and with a Chinese listener."""
    for chinese in (False, True):
        done = threading.Event()

        def listen(done: threading.Event = done) -> None:
            while not done.is_set():
                listener.play(CHINESE)

        thread = threading.Thread(target=listen, daemon=True)
        if chinese:
            thread.start()
        seconds = [listener.first(ENGLISH) for _ in range(requests)]
        done.set()
        if chinese:
            thread.join()
        yield {"chinese": chinese, **percentiles("first", seconds)}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=40)
    chosen = parser.parse_args()
    ctx = AppContext.open(load_settings({"VOXCPM_ENGINE": "embedded"}))
    with ctx.running_engine() as engine:
        listener = Listener(ctx, engine)
        listener.first(ENGLISH)
        rows = list(together(listener, chosen.repeats))
        english = list(beside(listener, chosen.requests))
    print_table(rows)
    print_table(english)
    write_json(chosen.json, rows + english)


if __name__ == "__main__":
    main()
