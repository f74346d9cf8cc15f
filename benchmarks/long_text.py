"""One text of 400 characters: our segments side by side against upstream's single utterance.

    python benchmarks/long_text.py [--model 1.5|0.5B|2] [--dtype float32] [--characters N] [--help]

Random weights of the true size, one cloned voice, 10 steps, 65 ms a character.  Ours is the whole
engine: the text is split as in a request, and its segments are rows of one batch, delivered in
order.  The ``voxcpm`` package makes the same number of patches in one call, in the dtype in which
it is faster here.  Both run in turn, with the voice's clip encoded before the clock starts.
``--alone`` measures ours without the package in the process.

- first, end: seconds from the text to the first sound, and to the last.
- silent: seconds in which a listener would have nothing to play.
"""

from __future__ import annotations

import io
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import partial
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.engine import load_faster, model_options, prepared
from benchmarks.lib.cpu_model import cpu_model
from benchmarks.lib.listen import listen
from benchmarks.lib.models import CFG, FixedLengthRunner, running
from benchmarks.lib.report import Row, print_table, write_json
from voxcpm_openai import Segment, Utterance, Voice, text
from voxcpm_openai.load_test import Reply
from voxcpm_openai.registry import load_registry
from voxcpm_openai.runtime.threads import run_in_fresh_thread
from voxcpm_openai.settings import load_settings

LONG = 1500
CHARACTER_SECONDS = 0.065
SLOTS = 8
TEXT = (
    "The harbour was quiet at this hour, and the boats lay still on the dark water. "
    "A man came down the steps with a lamp in his hand and looked for a long time at the sky. "
    "There would be wind before the morning, he thought, and perhaps rain after it. "
    "He tied the last rope twice, as his father had taught him, and went slowly home. "
    "Behind him the lamp on the mole began to turn; it had done so for years."
)
SHORT = "The first sentence is a little long. The second one is short."
"""In its place with a tiny model, whose slots are short."""


def run_ours(
    runner: FixedLengthRunner, segments: tuple[Segment, ...], voice: Voice, steps: int, seed: int
) -> Reply:
    """Speak through an engine, whose thread is gone when this returns."""
    with running(runner) as engine:
        return listen(engine, Utterance(segments, voice, {"inference_steps": steps}, seed=seed))


def run_upstream(
    model: Any, prompt: Any, said: str, steps: int, count: int, patch_seconds: float
) -> Reply:
    with redirect_stderr(io.StringIO()):  # it reports its progress there
        begun = time.perf_counter()
        made = model.generate_with_prompt_cache_streaming(
            said, prompt, min_len=count, max_len=count, inference_timesteps=steps, cfg_value=CFG
        )
        return Reply.of([(time.perf_counter() - begun, patch_seconds) for _ in made])


def measure(folder: Path, said: str, chosen: Namespace) -> list[Row]:
    steps, alone = chosen.steps, chosen.alone
    upstream = None if alone else run_in_fresh_thread(lambda: load_faster(folder, steps)[0])
    voice = load_registry(load_settings({})).voices["alloy"]
    model = run_in_fresh_thread(lambda: cpu_model(folder, chosen.dtype, chosen.kernels)[0])
    patch_seconds = model.patch_samples / model.sample_rate

    def length_of(said: str) -> int:
        return ceil(len(said) * CHARACTER_SECONDS / patch_seconds)

    length = min(1024, model.config.max_length)
    runner = FixedLengthRunner(model, length_of, slots=SLOTS, length=length)
    segments = text.split(said)
    run_ours(runner, segments[:1], voice, steps, seed=0)  # encodes the clip, and warms up
    seeds = range(1, chosen.repeats + 1)
    if upstream is None:
        runs = [run_ours(runner, segments, voice, steps, seed) for seed in seeds]
        return [_row(said, f"ours, {chosen.dtype}", [run]) for run in runs]
    package = upstream.model
    clip = {"prompt_wav_path": str(voice.audio), "prompt_text": voice.transcript}
    if chosen.model == "2":
        clip = {"reference_wav_path": str(voice.audio)}
    prompt = run_in_fresh_thread(lambda: package.build_prompt_cache(**clip))
    count = sum(length_of(segment.text) for segment in segments)
    theirs_run = partial(run_upstream, package, prompt, said, steps, count, patch_seconds)
    mine, theirs = [], []
    for seed in seeds:
        theirs.append(run_in_fresh_thread(theirs_run))
        mine.append(run_ours(runner, segments, voice, steps, seed))
        print(f"round {seed}: ours {mine[-1].total:.1f} s, upstream {theirs[-1].total:.1f} s")
    ours = _row(said, f"ours, {chosen.dtype}", mine)
    their = _row(said, f"upstream, {upstream.dtype}", theirs)
    ratios = {name: their[name] / ours[name] for name in ("first", "end")}
    return [ours, their, {**dict.fromkeys(ours), "side": "ratio", **ratios}]


def _row(said: str, side: str, replies: Sequence[Reply]) -> Row:
    return {
        "side": side,
        "characters": len(said),
        "first": median(reply.first_byte for reply in replies),
        "end": median(reply.total for reply in replies),
        "silent": median(reply.underrun_seconds for reply in replies),
        "audio": replies[0].audio,
    }


def main() -> None:
    parser = model_options(__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="ours, without the package beside it")
    parser.add_argument("--characters", type=int, default=len(TEXT), help="of a repeated text")
    chosen = parser.parse_args()
    long = f"{TEXT} " * ceil(chosen.characters / len(TEXT))
    said = SHORT if chosen.size == "tiny" else long[: chosen.characters].strip()
    with prepared(chosen) as folder:
        rows = measure(folder, said, chosen)
    print(f"{len(said)} characters in {len(text.split(said))} segments, {rows[0]['audio']:.1f} s")
    print_table(rows)
    if not chosen.alone:
        long = rows[1]["end"] * LONG / len(said)
        print(f"{LONG} characters would take upstream about {long:.0f} s (extrapolated).")
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
