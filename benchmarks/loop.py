"""The cost of the batched engine's loop: a runner that makes audio in no time.

    python benchmarks/loop.py [--streams 1,8,64,128,256] [--iterations 100] [--json FILE]

Scenes.  ``fast``: clients take what there is.  ``played``: they wait as long as each chunk lasts.
``texts``: they play texts of many segments, with twice as many jobs live as a step carries.

Microseconds of processor time of the engine's thread between two steps, medians over iterations:

- iteration, row: of an iteration, and a stream's share of it, when a step takes no time.
- schedule, silence, deliver: its parts, means of a separate run, since timing has a cost, too.
- paced: of an iteration when each step lasts 5 ms without the GIL, as on a GPU, and all ``fast``
  clients are woken one by one at its end.
- first_chunk: the most steps between a new request and its first chunk, in that last run.
- late: how many milliseconds too late a thread wakes from a sleep of 1 ms, in that last run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row, counts, options, percentiles, print_table, write_json
from voxcpm_openai import AudioStream, Samples, Segment, Utterance
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.runner_protocol import FinishedStep
from voxcpm_openai.runtime.engine.scheduler import Scheduler
from voxcpm_openai.runtime.engine.silence import SilenceTrimmer
from voxcpm_openai.runtime.engine.stream import BatchedStream
from voxcpm_openai.testing.mock_runner import CLONE, MockRunner, words_of

RATE, PATCH = 48_000, 7_680  # VoxCPM2's
STEP_SECONDS = 0.005
NEWCOMERS = 8
SCENES = ("fast", "played", "texts")
LENGTH = 20  # patches of a segment in the scene ``texts``, and of a newcomer's
PARTS: tuple[tuple[str, type, str], ...] = (
    ("schedule", Scheduler, "admit"),
    ("schedule", Scheduler, "rows"),
    ("silence", SilenceTrimmer, "feed"),
    ("silence", SilenceTrimmer, "finish"),
    ("deliver", BatchedStream, "deliver"),
)


class InstantRunner(MockRunner):
    """A runner whose patches are there already: half a second of sound, a tenth of silence."""

    sample_rate = RATE
    patch_seconds = PATCH / RATE

    def __init__(self, slots: int, iterations: int, step_seconds: float) -> None:
        """``iterations``: the steps after which it waits for ``over``, unless steps take time."""
        super().__init__(slots)
        self.iterations, self._limit, self._step_seconds = 0, iterations, step_seconds
        self.between: list[float] = []  # the loop's own seconds before each step but the first
        self.joined = threading.Event()  # no step ends before all streams are there
        self.over = threading.Event()
        self._stepped = threading.Condition()
        self._left = 0.0
        track = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * PATCH).astype(np.float32)
        track[np.arange(len(track)) % (RATE * 6 // 10) > RATE // 2] = 0.0
        self._patches: list[Samples] = list(track.reshape(-1, PATCH))

    def launch(self, slots: Sequence[int]) -> FinishedStep:
        if self._left:
            self.between.append(time.thread_time() - self._left)
        self.joined.wait()
        if self._step_seconds:
            time.sleep(self._step_seconds)
        elif self.iterations >= self._limit:
            self.over.wait()
        made = [self._patch(slot) for slot in slots]
        with self._stepped:
            self.iterations += 1
            self._stepped.notify_all()
        self._left = time.thread_time()
        return FinishedStep(slots, made)

    def wait_for_iteration(self, number: int) -> None:
        with self._stepped:
            self._stepped.wait_for(lambda: self.iterations >= number)

    def _patch(self, slot: int) -> tuple[bool, Samples]:
        self.patches[slot] += 1
        samples = self._patches[(slot * 7 + self.patches[slot]) % len(self._patches)]
        return self.patches[slot] >= words_of(self.live[slot])["length"], samples.copy()


def utterance(segments: int, patches: int) -> Utterance:
    """Return a text whose segments are estimated to be as long as they will be."""
    letters = "x" * round(patches * PATCH / RATE / 0.07)
    return Utterance((Segment(f"{letters} length:{patches}"),) * segments, CLONE)


def listen(stream: AudioStream, wait: Callable[[float], bool]) -> None:
    any(wait(len(chunk.samples) / RATE) for chunk in stream)
    stream.close()


@contextmanager
def running(
    scene: str, streams: int, iterations: int, step_seconds: float
) -> Iterator[tuple[BatchedEngine, InstantRunner]]:
    """Yield an engine and its runner, with streams that last for the iterations at least."""
    texts = scene == "texts"
    slots = (2 * streams if texts else streams) + NEWCOMERS
    text = utterance(2 * iterations // LENGTH, LENGTH) if texts else utterance(1, 2 * iterations)
    runner = InstantRunner(slots, iterations, step_seconds)
    engine = BatchedEngine(
        runner, rows_per_step=streams if texts else slots, max_waiting=10_000, max_wait=1e9
    )
    wait = (lambda _: runner.over.is_set()) if scene == "fast" else runner.over.wait
    with ThreadPoolExecutor(streams) as pool:
        try:
            for _ in range(streams):
                pool.submit(listen, engine.synthesize(text), wait)
            runner.joined.set()
            yield engine, runner
        finally:
            runner.over.set()
            engine.stop()


def parts_cost(scene: str, streams: int, iterations: int) -> Mapping[str, float]:
    spent = dict.fromkeys((name for name, _, _ in PARTS), 0.0)
    with ExitStack() as stack:
        for name, owner, method in PARTS:
            timed = _timed(getattr(owner, method), name, spent)
            stack.enter_context(patch.object(owner, method, timed))
        _, runner = stack.enter_context(running(scene, streams, iterations, 0.0))
        runner.wait_for_iteration(iterations)
        return {name: seconds / iterations * 1e6 for name, seconds in spent.items()}


def _timed(method: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begun = time.thread_time()
        result = method(*arguments)
        spent[name] += time.thread_time() - begun
        return result

    return timed


def paced(scene: str, streams: int, iterations: int) -> Row:
    over, steps = threading.Event(), []
    with (
        running(scene, streams, 2 * iterations, STEP_SECONDS) as (engine, runner),
        ThreadPoolExecutor(1) as pool,
    ):
        runner.wait_for_iteration(iterations)
        late = pool.submit(lateness, over)
        for number in range(NEWCOMERS):
            runner.wait_for_iteration(iterations + number * iterations // NEWCOMERS)
            begun = runner.iterations
            stream = engine.synthesize(utterance(1, LENGTH))
            next(iter(stream))
            steps.append(runner.iterations - begun)
            stream.close()
        runner.wait_for_iteration(2 * iterations)
        over.set()
        cost = median(runner.between[iterations:]) * 1e6
        return {"paced": cost, "first_chunk": max(steps), **percentiles("late", late.result())}


def lateness(over: threading.Event) -> list[float]:
    moments = [time.perf_counter()]
    while not over.is_set():
        time.sleep(0.001)
        moments.append(time.perf_counter())
    return [after - before - 0.001 for before, after in pairwise(moments)]


def measure(scene: str, streams: int, iterations: int) -> Row:
    with running(scene, streams, 2 * iterations, 0.0) as (_, runner):
        runner.wait_for_iteration(2 * iterations)
        cost = median(runner.between[iterations:]) * 1e6
    row = {"scene": scene, "streams": streams, "iteration": cost, "row": cost / streams}
    parts, rest = parts_cost(scene, streams, iterations), paced(scene, streams, iterations)
    return {**row, **parts, **rest}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--streams", type=counts, default=(1, 8, 64, 128, 256))
    parser.add_argument("--iterations", type=int, default=100, help="at least 20")
    chosen = parser.parse_args()
    iterations = max(20, chosen.iterations)
    rows = [measure(scene, count, iterations) for scene in SCENES for count in chosen.streams]
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
