"""The text path: what it costs by length, and what it adds to the first byte of hibari.

    python benchmarks/text.py [--repeats 9] [--json FILE]

- plan: milliseconds until the first segment can be spoken (markup, lexicon, segments, and the words
  of the first segment), for 100, 4096 and 200,000 characters; whole: until all words are made.
- first: milliseconds until the first chunk of hibari's audio, for a sentence with much to read,
  with our words and with the package's own reading of the same text: medians of repeats in turn.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row, options, print_table, versus, write_json
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine, Segment
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.text.plan import TextPlan

LENGTHS = (100, 4096, 200_000)
PLAIN = (
    "The morning was quiet and bright, and a light wind moved through the trees while we walked "
    "slowly down to the river. Nobody spoke, and nothing was heard but the water. "
)
DENSE = (
    "On January 5th, 2021, Dr. Smith paid $3.50 for 2 kg of rice at 9:30 p.m. in New York. "
    "That is 5–10% more than the FBI paid in 1998, see p. 12 or example.com. "
)
TEXTS = {"plain": PLAIN, "dense": DENSE}


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some work."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def planner(ctx: AppContext, engine: Engine) -> Callable[[str], TextPlan]:
    """Return what plans a text for the engine, as a request does."""
    voice = ctx.voices.get(ctx.settings.default_voice, OPERATOR)

    def plan(text: str) -> TextPlan:
        request = SpeechRequest(model="hibari", input=text)
        return ctx.resolver.plan_text(request, voice, engine.capabilities, OPERATOR)

    return plan


def first_segment(plan: Callable[[str], TextPlan], text: str) -> Segment:
    return plan(text).segments[0]


def all_segments(plan: Callable[[str], TextPlan], text: str) -> list[Segment]:
    return list(plan(text).segments)


def costs(plan: Callable[[str], TextPlan], repeats: int) -> Iterator[Row]:
    """Yield the cost of the text path for each length."""
    for name, text in TEXTS.items():
        for length in LENGTHS:
            whole = (text * (length // len(text) + 1))[:length]
            count = repeats if length < 10_000 else 1
            first = milliseconds(partial(first_segment, plan, whole), count)
            everything = milliseconds(partial(all_segments, plan, whole), count)
            yield {
                "text": name,
                "characters": length,
                "plan": first,
                "whole": everything,
                "us_per_character": everything * 1e3 / length,
            }


def first_chunks(ctx: AppContext, engine: Any, repeats: int) -> Iterator[Row]:
    """Yield the time to the first chunk, with our words and with the package's own reading."""
    english = engine._makers["en"][0]
    (hibari, *_) = english._bases.networks
    other = copy.copy(english)
    other._phonemizers = {id(hibari): lambda segment: hibari.phonemize(segment.text)}
    before = copy.copy(engine)
    before.capabilities = replace(engine.capabilities, spoken_text=False)
    before._makers = {"en": [other]}

    def first(engine: Engine, text: str) -> float:
        begun = time.perf_counter()
        request = SpeechRequest(model="hibari", input=text, seed=1)
        utterance, _ = ctx.resolver.resolve(request, engine, OPERATOR)
        with closing(engine.synthesize(utterance)) as stream:
            next(stream)
        return (time.perf_counter() - begun) * 1e3

    for name, text in TEXTS.items():
        pairs = [(first(engine, text), first(before, text)) for _ in range(repeats + 1)][1:]
        ours, theirs = zip(*pairs, strict=True)
        yield {"text": name, **versus(ours, theirs, "package", "first")}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    chosen = parser.parse_args()
    settings = {"VOXCPM_ENGINE": "hibari", "VOXCPM_MAX_INPUT_CHARS": "1000000"}
    ctx = AppContext.open(load_settings(settings))
    with ctx.running_engine() as engine:
        rows = list(costs(planner(ctx, engine), chosen.repeats))
        firsts = list(first_chunks(ctx, engine, chosen.repeats))
    print_table(rows)
    print_table(firsts)
    write_json(chosen.json, rows + firsts)


if __name__ == "__main__":
    main()
