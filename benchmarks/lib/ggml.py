"""VoxCPM.cpp (GGML) as a peer: its command speaks a text, and what it prints is timed."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.lib.models import CFG, STEPS, WARM_PATCHES
from voxcpm_openai.testing.checkpoints import TEXT

PROGRESS = re.compile(rb"\[decode\] (\d+)/")
"""It prints this when it has a patch's latents."""
DECODING = re.compile(rb"AudioVAE decode: +([0-9.]+)s")
"""It prints this at the end: the seconds in which it has decoded all patches at once."""
TAIL_LINES = 5
"""The lines of its output that an error has."""


class GgmlError(Exception):
    """The command did not do what was asked; the text says what it printed."""


@dataclass(frozen=True, slots=True)
class Ggml:
    """``binary``: VoxCPM.cpp's ``voxcpm_tts``.  ``weights``: a GGUF.

    It decodes all patches together at the end, and a patch is charged its share, which should be
    less than decoding patch by patch takes.  (``--stream`` crashed at the second patch when tried.)
    """

    binary: Path
    weights: Path
    threads: int

    def warm_up(self) -> None:
        """Make a few patches, so that the weights are in the page cache.  Raises GgmlError."""
        self.run(WARM_PATCHES, steps=2)

    def run(self, patches: int, warm: int = 2, steps: int = STEPS) -> float:
        """Return the median seconds of a patch, without the first ``warm``, decoding included.

        Each run is a process of its own.  Raises GgmlError if it fails, or prints anything else.
        """
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            process = stack.enter_context(self._start(Path(folder), patches, steps))
            stack.callback(process.kill)  # where reading is interrupted
            chunks = list(_chunks(process))
            status = process.wait()
        output = b"".join(chunk for _, chunk in chunks)
        if status:
            raise GgmlError(f"{self.binary} ended with status {status}: {_tail(output)}")
        marks, decoding = moments(chunks), DECODING.search(output)
        if len(marks) != patches or not decoding:
            lines = f"'[decode] 1/{patches}' to '{patches}/{patches}' and 'AudioVAE decode: 1.234s'"
            raise GgmlError(f"{self.binary} did not print {lines}: {_tail(output)}")
        latents = median(b - a for a, b in pairwise(marks[warm:]))
        return latents + float(decoding[1]) / patches

    def _start(self, folder: Path, patches: int, steps: int) -> subprocess.Popen[bytes]:
        options = {
            "--model-path": self.weights,
            "--text": TEXT,
            "--output": folder / "whole.wav",
            "--inference-timesteps": steps,
            "--cfg-value": CFG,
            "--threads": self.threads,
            "--backend": "cpu",
        }
        command = [self.binary, *(word for pair in options.items() for word in pair)]
        length = {"VOXCPM_BENCHMARK_DECODE_STEPS": str(patches)}
        length |= {"VOXCPM_BENCHMARK_IGNORE_STOP": "1"}
        try:
            return subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **length},
            )
        except OSError as error:
            raise GgmlError(f"{self.binary} does not start: {error.strerror}.") from error


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[tuple[float, bytes]]:
    """Yield what a process prints, with the moment of each read."""
    assert process.stdout is not None
    while chunk := os.read(process.stdout.fileno(), 65536):
        yield time.perf_counter(), chunk


def moments(chunks: Iterable[tuple[float, bytes]]) -> list[float]:
    """Return when each patch was printed; a line may come in pieces, and more than once."""
    marks: list[float] = []
    rest = b""
    for moment, chunk in chunks:
        rest += chunk
        for found in PROGRESS.finditer(rest):
            if int(found[1]) == len(marks) + 1:
                marks.append(moment)
        rest = rest[max(rest.rfind(b"["), 0) :]
    return marks


def _tail(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(["", *lines[-TAIL_LINES:]]) if lines else "it printed nothing."
