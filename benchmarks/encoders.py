"""The stock encoders next to pydub, which hands the whole utterance to ffmpeg.

    python benchmarks/encoders.py [--repeats 5] [--json FILE]

For each format, medians over repeats that alternate between ours and pydub, in one process:

- CPU: processor time, children's included, for a second of audio.
- first byte, compute only: how long the encoder works until its first bytes are out, with all
  audio there at once.  Ours needs a chunk or two for it, pydub the whole utterance.
- first byte at N x real time: the same, where an engine makes the audio N times faster than it
  plays.  The moments at which chunks arrive are reckoned, not slept through; the work is measured.

Ours includes the resampler that the server puts before the codec (24 to 48 kHz for opus).
"""

from __future__ import annotations

import io
import json
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
import numpy as np
from hibari import Hibari

from voxcpm_openai import AudioFormat, Resampler, Samples, Settings
from voxcpm_openai.registry import load_registry

RATE = 24000
CHUNK_S = 0.16
UTTERANCE_S = 5.0
PACES = (2, 10, 80)
"""Times real time: a busy GPU's stream, an idle one's, and hibari on one core."""

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


@dataclass(frozen=True, slots=True)
class Run:
    """One utterance encoded: milliseconds; ``paced`` in the order of ``PACES``."""

    cpu_per_second: float
    first_byte: float
    paced: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one format."""

    format: str
    ours: Run
    pydub: Run


def run_ours(made: AudioFormat, samples: Samples) -> Run:
    """Encode chunk by chunk, as the server does, and note the work until the first bytes."""
    cpu = _cpu_s()
    costs: list[float] = []  # seconds of work for each chunk up to the first bytes
    first: int | None = None
    before = time.perf_counter()
    rate = made.rate(RATE, None)
    resampler, encoder = Resampler(RATE, rate), made.open(rate)
    size = round(CHUNK_S * RATE)
    for at in range(0, len(samples), size):
        piece = encoder.feed(resampler.feed(samples[at : at + size]))
        if first is None:
            now = time.perf_counter()
            costs.append(now - before)
            before = now
            first = len(costs) if piece else None
    encoder.feed(resampler.finish())
    encoder.finish()
    encoder.close()
    return Run(
        cpu_per_second=(_cpu_s() - cpu) / UTTERANCE_S * 1e3,
        first_byte=sum(costs) * 1e3,
        paced=tuple(_delay(costs, CHUNK_S / pace) * 1e3 for pace in PACES),
    )


def _delay(costs: Sequence[float], interval: float) -> float:
    """Return when the last of some chunks is done: they arrive every ``interval`` seconds."""
    clock = 0.0
    for number, cost in enumerate(costs, start=1):
        clock = max(clock, number * interval) + cost
    return clock


def run_pydub(name: str, samples: Samples) -> Run:
    """Encode the whole utterance at once."""
    from pydub import AudioSegment

    cpu = _cpu_s()
    before = time.perf_counter()
    int16 = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
    segment = AudioSegment(int16.tobytes(), sample_width=2, frame_rate=RATE, channels=1)
    segment.export(io.BytesIO(), **PYDUB[name])
    cost = time.perf_counter() - before
    return Run(
        cpu_per_second=(_cpu_s() - cpu) / UTTERANCE_S * 1e3,
        first_byte=cost * 1e3,
        paced=tuple((UTTERANCE_S / pace + cost) * 1e3 for pace in PACES),
    )


def _cpu_s() -> float:
    """Return the processor time of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(made: AudioFormat, samples: Samples, repeats: int) -> Row:
    """Alternate between the two, after one round that does not count."""
    pairs = [(run_ours(made, samples), run_pydub(made.name, samples)) for _ in range(repeats + 1)]
    ours, pydub = zip(*pairs[1:], strict=True)
    return Row(made.name, _median(ours), _median(pydub))


def _median(runs: Sequence[Run]) -> Run:
    return Run(
        cpu_per_second=median(run.cpu_per_second for run in runs),
        first_byte=median(run.first_byte for run in runs),
        paced=tuple(median(delays) for delays in zip(*(run.paced for run in runs), strict=True)),
    )


def speech() -> Samples:
    """Return an utterance of real speech, mono at ``RATE``."""
    samples: Samples = Hibari()(TEXT, seed=1)
    return samples[: round(UTTERANCE_S * RATE)]


def print_table(rows: Sequence[Row]) -> None:
    """Print ours, pydub's, and how many times less ours is."""
    heads = ["CPU ms/s", "compute only", *(f"at {pace} x" for pace in PACES)]
    click.echo("First bytes in ms.  Each cell: ours, pydub's, pydub's / ours.")
    click.echo("format  " + "".join(f"{head:>26}" for head in heads))
    for row in rows:
        pairs = zip(_figures(row.ours), _figures(row.pydub), strict=True)
        cells = (f"{ours:.2f}  {pydub:.2f}  {pydub / ours:.1f}x" for ours, pydub in pairs)
        click.echo(f"{row.format:8}" + "".join(f"{cell:>26}" for cell in cells))


def _figures(run: Run) -> tuple[float, ...]:
    return (run.cpu_per_second, run.first_byte, *run.paced)


@click.command()
@click.option("--repeats", type=click.IntRange(min=5), default=9, show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(repeats: int, json_file: Path | None) -> None:
    """Compare the stock encoders with pydub."""
    if shutil.which("ffmpeg") is None:
        raise click.ClickException("pydub needs ffmpeg on the PATH (apt-get install ffmpeg).")
    formats = load_registry(Settings()).formats
    samples = speech()
    rows = [measure(formats[name], samples, repeats) for name in PYDUB]
    print_table(rows)
    if json_file is not None:
        paces = {"paces": PACES, "utterance_s": UTTERANCE_S, "repeats": repeats}
        json_file.write_text(json.dumps([asdict(row) | paces for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
