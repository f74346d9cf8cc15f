"""``voxcpm-openai speak``: a text to a file, in this process, without a server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import soundfile

from voxcpm_openai.cli.started import started
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.resolve import Resolver, SpeechRequest
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech import Speech
from voxcpm_openai.turns import Turns
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.owners import OPERATOR
from voxcpm_openai.voices.store import Store

STDIO = "-"

SIZED = ("WAV", "FLAC")
"""Formats whose streamed form does not know its length: many players would show 24 hours."""

Write = Callable[[bytes], object]


@click.command()
@click.argument("text")
@click.option("-o", "--output", required=True, help="The file to write, or - for stdout.")
@click.option("--voice", help="The voice's id.  Default: VOXCPM_DEFAULT_VOICE.")
@click.option("--model", help="The model's id.  Default: the first that the engine serves.")
@click.option(
    "--format", "format_", help="mp3, opus, aac, flac, wav, pcm...  Default: by the file's ending."
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
    settings = load_settings()
    registry = load_registry(settings)
    spec = choose_engine(registry, settings).spec
    request = SpeechRequest(
        model=model or registry.presets_for(spec.name)[0].id,
        input=sys.stdin.read() if text == STDIO else text,
        voice=voice,
        response_format=format_ or _format_of(output, list(registry.formats)),
        speed=speed,
    )
    catalog = Catalog(registry.voices, Store(Data(settings.data_folder), settings))
    resolver = Resolver(registry, catalog, settings, spec.name)
    with started(spec, settings) as engine:
        utterance, plan = resolver.resolve(request, engine, OPERATOR)
        container = plan.format.name.upper()
        sized = output != STDIO and container in SIZED
        if sized:  # soundfile makes the file from bare samples
            plan = replace(plan, format=registry.formats["pcm"])
        with (
            _opened(output, container if sized else None, plan.rate) as write,
            closing(Speech(engine, utterance, plan, Turns(1))) as speech,
        ):
            _write(speech, write, len(utterance.segments))


def _write(speech: Speech, write: Write, segments: int) -> None:
    """Write the pieces as they come; the bar counts segments and hides off a terminal."""
    with click.progressbar(
        length=segments, label="speaking", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for piece in speech:
            write(piece)
            bar.update(speech.segment - bar.pos)
        bar.update(segments - bar.pos)


def _format_of(output: str, known: list[str]) -> str:
    ending = Path(output).suffix.lstrip(".").lower()
    if output == STDIO or not ending:
        return "mp3"
    if ending not in known:
        raise click.UsageError(
            f"'.{ending}' is not a format; there are {', '.join(known)}. Name one with --format."
        )
    return ending


@contextmanager
def _opened(output: str, container: str | None, rate: int) -> Iterator[Write]:
    """Open the output for encoded bytes, or for 16-bit samples that go into a container.

    A file that was not finished is not left behind.
    """
    if output == STDIO:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            if container is None:
                yield file.write
            else:
                with soundfile.SoundFile(
                    file, "w", rate, channels=1, subtype="PCM_16", format=container
                ) as sound:
                    yield partial(sound.buffer_write, dtype="int16")
        unfinished.replace(path)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
