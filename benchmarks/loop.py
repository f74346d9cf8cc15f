"""What the batched engine's loop costs beside the model: a runner that makes sound in no time.

    python benchmarks/loop.py [--listeners 1,8,64,128,256] [--turns 100] [--json FILE]

Three scenes: ``fast`` listeners take what there is and wait for more; ``played`` ones wait as long
as each chunk lasts; ``texts`` are played too, of many segments each, with twice as many jobs live
as a step carries, so that the scheduler has to choose and segments join all the time.

In microseconds, the processor time of the engine's thread from a step's end to the next one's
begin, medians over the turns:

- turn, row: of a turn, and a listener's share of it, when a step takes no time.
- pick, edges, hand over: of its parts, means of a run of its own, since looking costs too: who
  joins and is stepped; silence at the edges; the way into the streams, wakes included.
- paced: of a turn when each step lasts 5 ms without the GIL, as on a GPU: all fast listeners wait
  at its end, and are woken one by one.

From that last run too, in which eight newcomers come one after the other:

- first chunk: the steps that end between a newcomer's call and its first chunk, at most.
- late: by how many milliseconds a thread that sleeps for one comes back too late, the median and
  the 99th percentile.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' runner

from tests.batched import CLONE, MockRunner, words_of
from voxcpm_openai import AudioStream, Samples, Segment, Utterance
from voxcpm_openai.runtime.edges import Edges
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.runner_protocol import Finished
from voxcpm_openai.runtime.scheduler import Scheduler
from voxcpm_openai.runtime.stream import Stream

RATE, PATCH = 48_000, 7_680
"""VoxCPM2's."""
STEP_S = 0.005
NEWCOMERS = 8
SCENES = ("fast", "played", "texts")
LENGTH = 20
"""Patches of a segment in the scene ``texts``, and of a newcomer's."""
PARTS = {
    "pick": ((Scheduler, "admit"), (Scheduler, "rows")),
    "edges": ((Edges, "feed"), (Edges, "finish")),
    "hand_over": ((Stream, "flow"),),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a scene costs: microseconds, ``first_chunk`` in steps, ``late`` in milliseconds."""

    scene: str
    listeners: int
    turn: float
    row: float
    pick: float
    edges: float
    hand_over: float
    paced: float
    first_chunk: int
    late_median: float
    late_99: float


class Instant(MockRunner):
    """A runner whose patches are there already: half a second of sound, a tenth of silence."""

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int, turns: int, step_s: float) -> None:
        """``turns``: the steps after which it holds still until ``over``, unless they take time.

        ``step_s``: how long a step lasts.
        """
        super().__init__(slots)
        self.turns = 0
        self.between: list[float] = []  # the loop's own seconds before each step but the first
        self.joined = threading.Event()  # no step ends before all listeners are there
        self.over = threading.Event()
        self._turns = turns
        self._step_s = step_s
        self._turned = threading.Condition()
        self._left = 0.0
        track = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * PATCH).astype(np.float32)
        track[np.arange(len(track)) % (RATE * 6 // 10) > RATE // 2] = 0.0
        self._patches: list[Samples] = list(track.reshape(-1, PATCH))

    def launch(self, slots: Sequence[int]) -> Finished:
        """Make a patch for each; what this takes does not count."""
        if self._left:
            self.between.append(time.thread_time() - self._left)
        self.joined.wait()
        if self._step_s:
            time.sleep(self._step_s)
        elif self.turns >= self._turns:
            self.over.wait()
        made = [self._patch(slot) for slot in slots]
        with self._turned:
            self.turns += 1
            self._turned.notify_all()
        self._left = time.thread_time()
        return Finished(slots, made)

    def wait_for_turn(self, number: int) -> None:
        """Wait until so many steps were made."""
        with self._turned:
            self._turned.wait_for(lambda: self.turns >= number)

    def _patch(self, slot: int) -> tuple[bool, Samples]:
        self.made[slot] += 1
        samples = self._patches[(slot * 7 + self.made[slot]) % len(self._patches)]
        length = words_of(self.live[slot])["length"]
        return self.made[slot] >= length, samples.copy()


def utterance(segments: int, patches: int) -> Utterance:
    """Return a text whose segments are likely as long as they will be."""
    letters = "x" * round(patches * PATCH / RATE / 0.07)
    return Utterance((Segment(f"{letters} length:{patches}"),) * segments, CLONE)


def listen(stream: AudioStream, wait: Callable[[float], bool]) -> None:
    """Take chunks; ``wait``, for as many seconds as one lasts, tells whether that was enough."""
    for chunk in stream:
        if wait(len(chunk.samples) / RATE):
            break
    stream.close()


@contextmanager
def crowd(
    scene: str, listeners: int, turns: int, step_s: float
) -> Iterator[tuple[BatchedEngine, Instant]]:
    """Give an engine and its runner while so many listen, for so many turns at least."""
    texts = scene == "texts"
    slots = (2 * listeners if texts else listeners) + NEWCOMERS
    text = utterance(2 * turns // LENGTH, LENGTH) if texts else utterance(1, 2 * turns)
    runner = Instant(slots, turns, step_s)
    engine = BatchedEngine(
        runner, rows_per_step=listeners if texts else slots, max_waiting=10_000, max_wait=1e9
    )
    wait = (lambda _: runner.over.is_set()) if scene == "fast" else runner.over.wait
    with ThreadPoolExecutor(listeners) as pool:
        try:
            for _ in range(listeners):
                pool.submit(listen, engine.speak(text), wait)
            runner.joined.set()
            yield engine, runner
        finally:
            runner.over.set()
            engine.stop()


def cost(scene: str, listeners: int, turns: int) -> float:
    """Return the microseconds of a turn."""
    with crowd(scene, listeners, 2 * turns, 0.0) as (_, runner):
        runner.wait_for_turn(2 * turns)
        return median(runner.between[turns:]) * 1e6


def parts(scene: str, listeners: int, turns: int) -> Mapping[str, float]:
    """Return the microseconds of a turn by part."""
    spent = defaultdict[str, float](float)
    with ExitStack() as stack:
        for name, places in PARTS.items():
            for owner, method in places:
                timed = _timed(getattr(owner, method), name, spent)
                stack.enter_context(patch.object(owner, method, timed))
        _, runner = stack.enter_context(crowd(scene, listeners, turns, 0.0))
        runner.wait_for_turn(turns)
        return {name: spent[name] / turns * 1e6 for name in PARTS}


def _timed(method: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begun = time.thread_time()
        try:
            return method(*arguments)
        finally:
            spent[name] += time.thread_time() - begun

    return timed


def paced(scene: str, listeners: int, turns: int) -> tuple[float, int, list[float]]:
    """Return the microseconds of a turn, the most steps of a newcomer, a timer's lateness in ms."""
    over, steps = threading.Event(), []
    with (
        crowd(scene, listeners, 2 * turns, STEP_S) as (engine, runner),
        ThreadPoolExecutor(1) as pool,
    ):
        runner.wait_for_turn(turns)
        late = pool.submit(lateness, over)
        for number in range(NEWCOMERS):
            runner.wait_for_turn(turns + number * turns // NEWCOMERS)
            begun = runner.turns
            stream = engine.speak(utterance(1, LENGTH))
            next(iter(stream))
            steps.append(runner.turns - begun)
            stream.close()
        runner.wait_for_turn(2 * turns)
        over.set()
        return median(runner.between[turns:]) * 1e6, max(steps), late.result()


def lateness(over: threading.Event) -> list[float]:
    """Return how many milliseconds too late each sleep of 1 ms came back, until it is over."""
    moments = [time.perf_counter()]
    while not over.is_set():
        time.sleep(0.001)
        moments.append(time.perf_counter())
    return [(after - before) * 1e3 - 1 for before, after in pairwise(moments)]


def measure(scene: str, listeners: int, turns: int) -> Row:
    turn = cost(scene, listeners, turns)
    by_part = parts(scene, listeners, turns)
    paced_turn, first_chunk, late = paced(scene, listeners, turns)
    return Row(
        scene,
        listeners,
        turn,
        turn / listeners,
        **by_part,
        paced=paced_turn,
        first_chunk=first_chunk,
        late_median=median(late),
        late_99=quantiles(late, n=100)[98],
    )


def print_table(rows: Sequence[Row]) -> None:
    click.echo(
        "scene  listeners   turn us  row us   pick  edges  hand over    paced  first chunk"
        "  late ms: median    99 %"
    )
    for row in rows:
        click.echo(
            f"{row.scene:8}{row.listeners:8}{row.turn:10.0f}{row.row:8.1f}{row.pick:7.0f}"
            f"{row.edges:7.0f}{row.hand_over:11.0f}{row.paced:9.0f}{row.first_chunk:13}"
            f"{row.late_median:17.2f}{row.late_99:8.2f}"
        )


@click.command()
@click.option("--listeners", default="1,8,64,128,256", show_default=True)
@click.option("--turns", type=click.IntRange(min=20), default=100, show_default=True)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path))
def main(listeners: str, turns: int, out: Path | None) -> None:
    """Measure the loop."""
    try:
        counts = [int(count) for count in listeners.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise click.BadParameter(f"{listeners!r} should be whole numbers above zero, as in 1,64.")
    rows = [measure(scene, count, turns) for scene in SCENES for count in counts]
    print_table(rows)
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
