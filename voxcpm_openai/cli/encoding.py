"""Encoding of 16-bit samples into what a command writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import click
import numpy as np
import soundfile

from voxcpm_openai.cli.output import Output
from voxcpm_openai.formats import AudioFormat

SIZED = ("WAV", "FLAC")
"""Formats that do not state their length when streamed; files on disk should."""
PROBE = 65536
"""Bytes to write after a failed write, to get its error."""
FULL_SCALE = np.float32(32767)
"""The value of a sample of 1.0, as in all formats of the server."""

Write = Callable[[bytes], object]
"""Takes samples: 16 bits, little-endian, mono."""


@contextmanager
def encoding(output: Output, format_: AudioFormat, rate: int) -> Iterator[Write]:
    """Yield what takes samples at ``rate`` Hz; they are all in the output when the block ends.

    Raises ClickException.
    """
    container = format_.name.upper()
    if output.whole and container in SIZED:
        with _sized(output, container, rate) as write:
            yield write
        return
    with closing(format_.open(rate)) as encoder:

        def feed(samples: bytes) -> None:
            values = np.frombuffer(samples, "<i2").astype(np.float32) / FULL_SCALE  # (n,)
            if encoded := encoder.feed(values):
                output.write(encoded)

        yield feed
        output.write(encoder.finish())


@contextmanager
def _sized(output: Output, container: str, rate: int) -> Iterator[Write]:
    """Write a container of 16-bit samples that states its length; yield what takes the samples.

    libsndfile writes to a descriptor of its own.  Through a Python file it would lose what is
    raised there, such as the exception of SIGTERM.
    """
    try:
        with soundfile.SoundFile(
            os.dup(output.fileno()), "w", rate, channels=1, subtype="PCM_16", format=container
        ) as sound:
            yield lambda samples: sound.buffer_write(samples, dtype="int16")
    except soundfile.LibsndfileError as error:
        output.write(bytes(PROBE))  # libsndfile does not tell the cause, this does
        raise click.ClickException(f"{output.name} cannot be written: {error}") from error
