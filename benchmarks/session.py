"""The first sound of a text that comes token by token, on hibari.

    python benchmarks/session.py [--repeats 31] [--json FILE]

The text comes as a language model writes it, a token every 5 ms, while another thread listens.

- first_ms: from the append after which the first passage is complete to its first chunk of audio:
  p50, p90 and the worst.
- cut_ms: the part of it that the append takes, p50.
- passage: what is said first.

The goal is 60 ms.
"""

from __future__ import annotations

import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row, options, print_table, write_json
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Engine
from voxcpm_openai.load_test import Percentiles
from voxcpm_openai.session import AudioMade, SpeechSession
from voxcpm_openai.session.cutter import Cutter
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

TOKEN_SECONDS = 0.005
TEXTS = {
    "clause": "Sure, I can help you with that, no problem at all. Let me see what I can do. ",
    "sentence": "The answer is forty two. It was not easy to find, but here it is at last. ",
    "dense": "Dr. Smith paid $3.50 for 2 kg of rice. It was on May 5th, 2021, at 9 p.m. sharp. ",
    "markup": "**Note:** see the [docs](https://example.com/a.b) first, please. Then go on. ",
}


def completing(tokens: list[str]) -> tuple[int, str]:
    """Return which token completes the first passage, and that passage."""
    cutter = Cutter()
    for number, token in enumerate(tokens):
        if passages := cutter.append(token):
            return number, passages[0].text
    raise ValueError(tokens)


def first_sound(session: SpeechSession, tokens: list[str], last: int) -> tuple[float, float]:
    """Return the seconds from the beginning and the end of the last append to the first chunk."""
    heard: list[float] = []

    def listen() -> None:
        for event in session:
            if isinstance(event, AudioMade):
                heard.append(time.perf_counter())
                return

    listener = threading.Thread(target=listen)
    listener.start()
    for token in tokens[:last]:
        session.append(token)
        time.sleep(TOKEN_SECONDS)
    begun = time.perf_counter()
    session.append(tokens[last])
    appended = time.perf_counter()
    listener.join()
    return heard[0] - begun, appended - begun


def rows(ctx: AppContext, engine: Engine, repeats: int) -> Iterator[Row]:
    for name, text in TEXTS.items():
        tokens = re.findall(r"\s*\S+", text)
        last, passage = completing(tokens)
        firsts, cuts = [], []
        for _ in range(repeats + 1):
            request = SpeechRequest(model="hibari", input="", response_format="pcm", seed=1)
            with SpeechSession(engine, ctx.resolver, ctx.limits, request) as session:
                first, cut = first_sound(session, tokens, last)
            firsts.append(first * 1e3)
            cuts.append(cut * 1e3)
        found = Percentiles.of(firsts[1:])  # the first one warms up
        assert found is not None
        yield {
            "text": name,
            "passage": passage.strip(),
            "first_ms_p50": found.p50,
            "first_ms_p90": found.p90,
            "first_ms_worst": max(firsts[1:]),
            "cut_ms": statistics.median(cuts[1:]),
        }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    chosen = parser.parse_args()
    ctx = AppContext.open(load_settings({"VOXCPM_ENGINE": "hibari"}))
    with ctx.running_engine() as engine:
        found = list(rows(ctx, engine, chosen.repeats))
    print_table(found)
    write_json(chosen.json, found)


if __name__ == "__main__":
    main()
