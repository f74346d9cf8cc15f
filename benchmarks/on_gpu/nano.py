"""nano-vllm-voxcpm on the same weights, and ours: engines, streams that come together, in turn.

Both make utterances of the same forced length, with the same steps and guidance, of the same text,
in slots of the same length, as fast as they can; nobody listens at the speed of speech.  Where
flash-attn is missing, ``flash_shim`` stands in for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median

import numpy as np

from benchmarks.on_gpu.bench import Bench, Task
from benchmarks.on_gpu.listeners import CAPTURE_SECONDS, ForcedRunner, start, utterance
from benchmarks.on_gpu.peer import LENGTH, Peer, Round, folder_for

NEEDED = ("nanovllm_voxcpm", "transformers", "pydantic", "xxhash", "huggingface_hub", "tqdm")
BARS = {("2", 64): 1.8}
"""The ratios to reach on an H100, by model and streams."""

COLUMNS = {
    "model": "model",
    "streams": "streams",
    "ours_first_p50_ms": "first patch ms p50: ours",
    "ours_first_p90_ms": "p90",
    "nano_first_p50_ms": "nano",
    "nano_first_p90_ms": "p90",
    "ours_rtf": "RTF: ours",
    "nano_rtf": "nano",
    "ours_rest_rtf": "behind the first: ours",
    "nano_rest_rtf": "nano",
    "ours_audio_per_second": "audio-s/s: ours",
    "nano_audio_per_second": "nano",
    "ratio": "ratio",
    "worst": "worst",
    "bar": "bar",
    "attention": "nano's flash-attn",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Streams that came together: medians over the rounds, percentiles over all streams of all.

    ``..._rtf``: seconds until a stream's end by its seconds of sound; ``..._rest_rtf``: behind its
    first patch.  ``ratio``: ours by theirs in seconds of sound a second; ``worst``: the lowest of a
    pair of rounds.  ``attention``: what served the calls to flash-attn.
    """

    model: str
    dtype: str
    streams: int
    patches: int
    attention: str
    ours_first_p50_ms: float
    ours_first_p90_ms: float
    nano_first_p50_ms: float
    nano_first_p90_ms: float
    ours_rtf: float
    nano_rtf: float
    ours_rest_rtf: float
    nano_rest_rtf: float
    ours_audio_per_second: float
    nano_audio_per_second: float
    ratio: float
    worst: float
    bar: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """The rounds of one side, summed up; see ``Row``."""

    first_p50_ms: float
    first_p90_ms: float
    rtf: float
    rest_rtf: float
    audio_per_second: float

    @classmethod
    def of(cls, rounds: Sequence[Round], patches: int, patch_seconds: float) -> Figures:
        """Sum up rounds whose streams are of so many patches."""
        firsts = [first for each in rounds for first in each.firsts]
        totals = [total for each in rounds for total in each.totals]
        rests = [total - first for first, total in zip(firsts, totals, strict=True)]
        p50, p90 = np.percentile(firsts, (50, 90)).tolist()
        return cls(
            first_p50_ms=p50 * 1e3,
            first_p90_ms=p90 * 1e3,
            rtf=median(totals) / (patches * patch_seconds),
            rest_rtf=median(rests) / ((patches - 1) * patch_seconds),
            audio_per_second=median(rate(each, patches * patch_seconds) for each in rounds),
        )


def rate(each: Round, seconds: float) -> float:
    """Return the seconds of sound a second of a round whose streams are so long."""
    return len(each.totals) * seconds / max(each.totals)


def missing(bench: Bench) -> list[str]:
    """Return what this part needs and this machine has not."""
    packages = [name for name in NEEDED if find_spec(name) is None]
    return packages if bench.on_gpu else [*packages, "an NVIDIA GPU"]


def tasks(bench: Bench) -> Iterator[Task]:
    """All models at the numbers of streams that tell most; then the sweep."""
    for counts in (bench.scale.first, bench.scale.sweep):
        for model in bench.scale.models:
            for streams in counts:
                found = partial(measure, bench, model, streams, max(counts))
                yield Task(f"{model}, {streams} streams", found, counts is bench.scale.first)


def measure(bench: Bench, model: str, streams: int, most: int) -> Row:
    """Let both speak in turn; their engines, for so many streams at ``most``, stay for the next."""
    contest = bench.host(f"nano {model} {most}", partial(Contest, bench, model, most))
    contest.ours(streams)
    contest.theirs(streams)
    pairs = [(contest.ours(streams), contest.theirs(streams)) for _ in range(bench.scale.repeats)]
    patches, seconds = bench.scale.spoken, contest.patch_seconds
    ours, theirs = (Figures.of(side, patches, seconds) for side in zip(*pairs, strict=True))
    ratios = [rate(our, 1.0) / rate(their, 1.0) for our, their in pairs]
    return Row(
        model=model,
        dtype=bench.dtype,
        streams=streams,
        patches=patches,
        attention=contest.attention,
        ours_first_p50_ms=ours.first_p50_ms,
        ours_first_p90_ms=ours.first_p90_ms,
        nano_first_p50_ms=theirs.first_p50_ms,
        nano_first_p90_ms=theirs.first_p90_ms,
        ours_rtf=ours.rtf,
        nano_rtf=theirs.rtf,
        ours_rest_rtf=ours.rest_rtf,
        nano_rest_rtf=theirs.rest_rtf,
        ours_audio_per_second=ours.audio_per_second,
        nano_audio_per_second=theirs.audio_per_second,
        ratio=median(ratios),
        worst=min(ratios),
        bar=BARS.get((model, streams)) if bench.scale.size == "true" else None,
    )


class Contest:
    """Both engines, loaded and warm: ours in this process, theirs in another."""

    def __init__(self, bench: Bench, model: str, most: int) -> None:
        self._patches = bench.scale.spoken
        self._theirs = Peer(folder_for(bench.folder(model)), most)
        try:
            self._runner = ForcedRunner(
                bench.model(model),
                slots=most,
                length=min(LENGTH, bench.length(bench.model(model))),
                patches=self._patches,
                capture=bench.capture(),
            )
            self._runner.capture(CAPTURE_SECONDS)
            self.attention = self._theirs.wait_ready()
        except BaseException:
            self._theirs.close()
            raise
        self._engine = start(self._runner)
        self._pool = ThreadPoolExecutor(most)

    @property
    def patch_seconds(self) -> float:
        """The length of a patch."""
        return self._runner.patch_seconds

    def ours(self, streams: int) -> Round:
        """Let ours speak.  Raises RuntimeError where a stream is not as long as it should be."""
        asked = time.perf_counter()
        futures = [self._pool.submit(self._hear, seed, asked) for seed in range(streams)]
        heard = [future.result() for future in futures]
        wanted = self._patches * self.patch_seconds
        for _, _, seconds in heard:
            if abs(seconds - wanted) > wanted / 4:  # silence at its ends may have been cut off
                raise RuntimeError(f"a stream of {seconds:.2f} s and not of {wanted:.2f} s.")
        return Round([first for first, _, _ in heard], [last for _, last, _ in heard])

    def theirs(self, streams: int) -> Round:
        """Let theirs speak."""
        return self._theirs.speak(streams, self._patches)

    def close(self) -> None:
        """End both."""
        self._theirs.close()
        self._engine.stop()
        self._pool.shutdown()

    def _hear(self, seed: int, asked: float) -> tuple[float, float, float]:
        """Return when the first and the last chunk of a stream came, in seconds since ``asked``,
        and the seconds of all of them.
        """
        times, samples = [], 0
        with closing(self._engine.speak(utterance(seed))) as stream:
            for chunk in stream:
                times.append(time.perf_counter() - asked)
                samples += len(chunk.samples)
        return times[0], times[-1], samples / self._engine.sample_rate
