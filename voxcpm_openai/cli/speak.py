"""``voxcpm-openai speak``: synthesize a text into a file, without a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click
import soundfile

from voxcpm_openai.cli.output import STDIO, Output, checked, opened
from voxcpm_openai.context import AppContext
from voxcpm_openai.gate import DeadlineGate
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import SpeechRequest

SIZED = ("WAV", "FLAC")
"""Formats that do not state their length when streamed; files on disk should."""
PROBE = 65536
"""Bytes to write after a failed write, to get its error."""

Write = Callable[[bytes], object]


@click.command()
@click.argument("text")
@click.option(
    "-o", "--output", callback=checked, required=True, help="The file to write, or - for stdout."
)
@click.option("--voice", help="The voice's id.  Default: VOXCPM_DEFAULT_VOICE.")
@click.option("--model", help="The model's id.  Default: the first that the engine serves.")
@click.option(
    "--format", "format_", help="mp3, opus, aac, flac, wav, pcm...  Default: by the file extension."
)
@click.option("--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True)
def speak(
    text: str,
    output: str,
    voice: str | None,
    model: str | None,
    format_: str | None,
    speed: float,
) -> None:
    """Speak TEXT into a file.  TEXT may be - for stdin."""
    ctx = AppContext.open(load_settings())
    formats = ctx.registry.formats
    request = SpeechRequest(
        model=model or ctx.registry.presets_for(ctx.engine.name)[0].id,
        input=sys.stdin.read() if text == STDIO else text,
        voice=voice,
        response_format=format_ or _format_of(output, list(formats)),
        speed=speed,
    )
    with ctx.running_engine() as engine:
        utterance, spec = ctx.resolver.resolve(request, engine, OPERATOR)
        container = spec.format.name.upper()
        with ExitStack() as stack:
            file = stack.enter_context(opened(output))
            write: Write = file.write
            if file.whole and container in SIZED:
                spec = replace(spec, format=formats["pcm"])
                write = stack.enter_context(_sized(file, container, spec.rate))
            speech = stack.enter_context(closing(Speech(engine, utterance, spec, DeadlineGate(1))))
            _write(speech, write, len(utterance.segments))


def _write(speech: Speech, write: Write, segments: int) -> None:
    """Write the chunks as they arrive; on a terminal, show the progress in segments."""
    with click.progressbar(
        length=segments, label="speaking", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for chunk in speech:
            write(chunk)
            bar.update(speech.segment - bar.pos)
        bar.update(segments - bar.pos)


def _format_of(output: str, known: list[str]) -> str:
    extension = Path(output).suffix.lstrip(".").lower()
    if output == STDIO or not extension:
        return "mp3"
    if extension not in known:
        raise click.UsageError(
            f"'.{extension}' is not a format; there are {', '.join(known)}. Name one with --format."
        )
    return extension


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
