"""The stock encoders against pydub, which hands the whole utterance to ffmpeg.

    python benchmarks/encoders.py [--repeats 9] [--json FILE]

For each format ours, pydub's, and how many times less ours is: medians of repeats in turn.

- cpu: processor time, children's included, for a second of audio.
- first: how long the encoder works until its first bytes are out, with all audio available at once.
- at_N: the same where an engine makes the audio N times faster than real time; the arrival of the
  chunks is computed.

Ours includes the resampler that the server puts before the codec (24 to 48 kHz for opus).
"""

from __future__ import annotations

import io
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hibari import Hibari

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.report import Row, options, print_table, versus, write_json
from voxcpm_openai import AudioFormat, Resampler, Samples, Settings
from voxcpm_openai.registry import load_registry

RATE = 24000
CHUNK_SECONDS = 0.16
UTTERANCE_SECONDS = 5.0
PACES = (2, 10, 80)  # times real time: a busy GPU's stream, an idle one's, and hibari on one core
TEXT = (
    "The ferry leaves at seven, and the last bus to the harbour goes at half past six. "
    "If the rain stops before noon, we will walk along the river to the old mill."
)
PYDUB = {
    "mp3": {"format": "mp3", "bitrate": "128k"},
    "opus": {"format": "opus", "codec": "libopus", "bitrate": "64k"},
    "aac": {"format": "adts", "bitrate": "128k"},
    "flac": {"format": "flac"},
    "wav": {"format": "wav"},
    "pcm": {"format": "raw"},
}
"""pydub's arguments for the same codecs at the same bit rates (wav and raw need no ffmpeg)."""
FIGURES = ("cpu", "first", *(f"at_{pace}" for pace in PACES))


def run_ours(made: AudioFormat, samples: Samples) -> Row:
    """Encode chunk by chunk, as the server does; return milliseconds."""
    cpu = _cpu_seconds()
    costs: list[float] = []  # seconds of work for each chunk up to the first bytes
    first = False
    before = time.perf_counter()
    rate = made.rate(RATE, None)
    resampler, encoder = Resampler(RATE, rate), made.open(rate)
    size = round(CHUNK_SECONDS * RATE)
    for at in range(0, len(samples), size):
        encoded = encoder.feed(resampler.feed(samples[at : at + size]))
        if not first:
            now = time.perf_counter()
            costs.append(now - before)
            before = now
            first = bool(encoded)
    encoder.feed(resampler.finish())
    encoder.finish()
    encoder.close()
    delays = [_delay(costs, CHUNK_SECONDS / pace) for pace in PACES]
    return _figures(_cpu_seconds() - cpu, [sum(costs), *delays])


def _delay(costs: Sequence[float], interval: float) -> float:
    clock = 0.0
    for number, cost in enumerate(costs, start=1):
        clock = max(clock, number * interval) + cost
    return clock


def run_pydub(name: str, samples: Samples) -> Row:
    from pydub import AudioSegment

    cpu = _cpu_seconds()
    before = time.perf_counter()
    int16 = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
    segment = AudioSegment(int16.tobytes(), sample_width=2, frame_rate=RATE, channels=1)
    segment.export(io.BytesIO(), **PYDUB[name])
    cost = time.perf_counter() - before
    delays = [UTTERANCE_SECONDS / pace + cost for pace in PACES]
    return _figures(_cpu_seconds() - cpu, [cost, *delays])


def _figures(cpu: float, firsts: Sequence[float]) -> Row:
    values = (cpu / UTTERANCE_SECONDS, *firsts)
    return {name: value * 1e3 for name, value in zip(FIGURES, values, strict=True)}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(made: AudioFormat, samples: Samples, repeats: int) -> list[Row]:
    pairs = [(run_ours(made, samples), run_pydub(made.name, samples)) for _ in range(repeats + 1)]
    rows = []
    for figure in FIGURES:
        ours, pydub = zip(*((our[figure], their[figure]) for our, their in pairs[1:]), strict=True)
        compared = versus(ours, pydub, "pydub", "ms")
        rows.append({"format": made.name, "figure": figure, **compared})
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    chosen = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        parser.error("pydub needs ffmpeg on the PATH (apt-get install ffmpeg).")
    formats = load_registry(Settings()).formats
    samples = Hibari()(TEXT, seed=1)[: round(UTTERANCE_SECONDS * RATE)]
    rows = [row for name in PYDUB for row in measure(formats[name], samples, chosen.repeats)]
    print_table(rows)
    write_json(chosen.json, rows)


if __name__ == "__main__":
    main()
