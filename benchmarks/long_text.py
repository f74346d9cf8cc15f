"""One text of 400 characters: our segments side by side against upstream's one long breath.

    python benchmarks/long_text.py [--model 1.5|0.5B|2] [--dtype float32] [--json FILE] [--help]

Random weights of the true size, one cloned voice, 10 steps; each segment is forced to the length of
slow reading (65 ms a character), since random weights never stop by themselves.  Ours is the whole
engine: the text is split as a request's is, its segments are rows of one batch, heard in order. The
``voxcpm`` package makes the same number of patches in one call, in the dtype in which it is the
faster here.  Both run in turn, both with the voice's clip encoded before the clock starts, which
the package by itself does at each request.

- first: seconds from the text to the first sound.
- end: seconds until all of it is there.

What 1500 characters would take the package is extrapolated from its seconds a patch.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Self

import click
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' checkpoints and stand-ins

from benchmarks import checkpoints
from benchmarks.engine import CFG, Upstream, best_upstream
from benchmarks.forced import Forced
from voxcpm_openai import Segment, Utterance, Voice, text
from voxcpm_openai.registry import load_registry
from voxcpm_openai.runtime.aside import aside
from voxcpm_openai.runtime.engine import BatchedEngine
from voxcpm_openai.runtime.job import Job
from voxcpm_openai.runtime.loader import DTYPES, load_model
from voxcpm_openai.runtime.prompts import Prompts
from voxcpm_openai.runtime.runner import ModelRunner
from voxcpm_openai.runtime.runner_protocol import Step
from voxcpm_openai.settings import load_settings

LONG = 1500
SECONDS = 0.065  # of speech for a character
SLOTS = 8
TEXT = (
    "The harbour was quiet at this hour, and the boats lay still on the dark water. "
    "A man came down the steps with a lamp in his hand and looked for a long time at the sky. "
    "There would be wind before the morning, he thought, and perhaps rain after it. "
    "He tied the last rope twice, as his father had taught him, and went slowly home. "
    "Behind him the lamp on the mole began to turn; it had done so for years."
)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds until the first sound and the last, and of those that a listener hears nothing in
    between.
    """

    first: float
    end: float
    silent: float

    @classmethod
    def of(cls, pieces: Sequence[tuple[float, float]]) -> Self:
        """Sum up when each piece of sound came, and how long it plays."""
        dry, silent = pieces[0][0], 0.0
        for came, seconds in pieces:
            silent += max(0.0, came - dry)
            dry = max(dry, came) + seconds
        return cls(pieces[0][0], pieces[-1][0], silent)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; ``long`` is the package's extrapolated seconds for 1500 characters."""

    model: str
    dtype: str
    upstream_dtype: str
    steps: int
    characters: int
    segments: int
    sound_seconds: float
    ours: Times
    upstream: Times
    first_ratio: float
    end_ratio: float
    long: float


class Measured(ModelRunner):
    """A runner that ends each segment at a length that its text gives."""

    def __init__(self, model: Any, length: int) -> None:
        super().__init__(model, Prompts(model, "random"), slots=SLOTS, length=length)
        self._left: dict[int, int] = {}

    @classmethod
    def load(cls, folder: Path, dtype: str) -> Self:
        """Load the checkpoint in ``folder``."""
        model = load_model(folder, "cpu", dtype)
        return cls(model, min(1024, model.config.max_length))

    def admit(self, slot: int, job: Job) -> None:
        """Let a job in, and note how many patches it gets."""
        super().admit(slot, job)
        plan: Any = job.plan
        self._left[slot] = patches(plan.text, self.patch_seconds)

    def launch(self, slots: Sequence[int]) -> Step:
        """Step, and stop where the length is reached."""
        step = super().launch(slots)
        for slot in step.slots:
            self._left[slot] -= 1
        return Forced(step, [self._left[slot] <= 0 for slot in step.slots])


def patches(said: str, patch_seconds: float) -> int:
    """Return the patches of a text."""
    return ceil(len(said) * SECONDS / patch_seconds)


def run_ours(
    runner: Measured, segments: tuple[Segment, ...], voice: Voice, steps: int, seed: int
) -> Times:
    """Speak the text through an engine, whose thread is gone again when the package speaks."""
    engine = BatchedEngine(runner, rows_per_step=SLOTS, max_waiting=SLOTS, max_wait=1e9)
    begun = time.perf_counter()
    try:
        return Times.of(
            [
                (time.perf_counter() - begun, len(chunk.samples) / engine.sample_rate)
                for chunk in engine.speak(
                    Utterance(segments, voice, {"inference_steps": steps}, seed=seed)
                )
            ]
        )
    finally:
        engine.stop()


def run_upstream(
    upstream: Upstream, prompt: Any, said: str, steps: int, count: int, seconds: float
) -> Times:
    """Let the package make ``count`` patches of the text, each of so many ``seconds``."""
    with redirect_stderr(io.StringIO()):  # it reports its progress there
        begun = time.perf_counter()
        made = upstream.model.generate_with_prompt_cache_streaming(
            said, prompt, min_len=count, max_len=count, inference_timesteps=steps, cfg_value=CFG
        )
        marks = [time.perf_counter() - begun for _ in made]
    return Times.of([(mark, seconds) for mark in marks])


def measure(folder: Path, model: str, *, dtype: str, steps: int, repeats: int, said: str) -> Row:
    """Measure the checkpoint in ``folder`` of a ``model``, one of ``checkpoints.KINDS``."""
    upstream = aside(lambda: best_upstream(folder, checkpoints.KINDS[model], steps))
    runner = aside(lambda: Measured.load(folder, dtype))
    voice = load_registry(load_settings({})).voices["alloy"]
    segments = text.split(said)
    count = sum(patches(segment.text, runner.patch_seconds) for segment in segments)
    clip = (
        {"reference_wav_path": str(voice.audio)}
        if model == "2"
        else {"prompt_wav_path": str(voice.audio), "prompt_text": voice.transcript}
    )
    prompt = aside(lambda: upstream.model.build_prompt_cache(**clip))
    run_ours(runner, segments[:1], voice, steps, seed=0)  # encodes the clip, and warms up
    mine, theirs = [], []
    for seed in range(1, repeats + 1):
        theirs.append(
            aside(lambda: run_upstream(upstream, prompt, said, steps, count, runner.patch_seconds))
        )
        mine.append(run_ours(runner, segments, voice, steps, seed))
        click.echo(f"round {seed}: ours {mine[-1].end:.1f} s, upstream {theirs[-1].end:.1f} s")
    our_times, their_times = _medians(mine), _medians(theirs)
    return Row(
        model=model,
        dtype=dtype,
        upstream_dtype=upstream.dtype,
        steps=steps,
        characters=len(said),
        segments=len(segments),
        sound_seconds=count * runner.patch_seconds,
        ours=our_times,
        upstream=their_times,
        first_ratio=their_times.first / our_times.first,
        end_ratio=their_times.end / our_times.end,
        long=their_times.end * LONG / len(said),
    )


def alone(folder: Path, *, dtype: str, steps: int, repeats: int, said: str) -> list[Times]:
    """Measure ours in a process in which nothing else of torch has run."""
    runner = aside(lambda: Measured.load(folder, dtype))
    voice = load_registry(load_settings({})).voices["alloy"]
    segments = text.split(said)
    run_ours(runner, segments[:1], voice, steps, seed=0)  # encodes the clip, and warms up
    return [run_ours(runner, segments, voice, steps, seed) for seed in range(1, repeats + 1)]


def _medians(runs: Sequence[Times]) -> Times:
    return Times(
        median(run.first for run in runs),
        median(run.end for run in runs),
        median(run.silent for run in runs),
    )


def print_row(row: Row) -> None:
    """Print the comparison."""
    click.echo(
        f"VoxCPM {row.model}, {row.steps} steps, {row.dtype}; upstream {row.upstream_dtype}: "
        f"{row.characters} characters, {row.segments} segments, {row.sound_seconds:.1f} s of sound"
    )
    click.echo("          first        end  silent between")
    for name, side in (("ours", row.ours), ("upstream", row.upstream)):
        click.echo(f"{name:10}{side.first:5.2f} s{side.end:9.1f} s{side.silent:14.1f} s")
    click.echo(f"{'sooner':10}{row.first_ratio:5.2f} x{row.end_ratio:9.2f} x")
    click.echo(f"{LONG} characters would take upstream about {row.long:.0f} s (extrapolated).")


@click.command()
@click.option("--model", type=click.Choice(list(checkpoints.KINDS)), default="1.5")
@click.option("--steps", type=click.IntRange(2), default=10, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True)
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads())
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="For weights.")
@click.option("--alone", "by_itself", is_flag=True, help="Ours, without the package beside it.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path))
def main(
    model: str,
    threads: int,
    folder: Path | None,
    by_itself: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Compare a long text with the voxcpm package."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = checkpoints.make(folder or Path(scratch), model)
        if by_itself:
            for times in alone(checkpoint, said=TEXT, **options):
                click.echo(
                    f"first {times.first:.2f} s, end {times.end:.1f} s, "
                    f"silent between {times.silent:.1f} s"
                )
            return
        row = measure(checkpoint, model, said=TEXT, **options)
    print_row(row)
    if out is not None:
        out.write_text(json.dumps(asdict(row), indent=1) + "\n")


if __name__ == "__main__":
    main()
