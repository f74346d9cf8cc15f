"""``voxcpm-openai speak``: synthesize a text into a file or a loudspeaker, without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from voxcpm_openai.cli.completion import complete_format, complete_model, complete_voice
from voxcpm_openai.cli.display import message, plain
from voxcpm_openai.cli.encoding import Write, encoding
from voxcpm_openai.cli.narration import Narration, OnProgress
from voxcpm_openai.cli.output import STDIO, checked, is_special, opened
from voxcpm_openai.cli.part_folder import PartFolder
from voxcpm_openai.cli.player import playing, require_player
from voxcpm_openai.cli.progress import Stopwatch, progress, summarize
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import NothingToSay, VoxcpmError
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

LONGEST = 10_000_000
"""The longest part in characters: the limit of requests is meant for a server's clients."""

NOTHING = NothingToSay("'input' has nothing that can be spoken.")


@click.command()
@click.argument("text", required=False)
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Speak this text file (UTF-8), or - for stdin, instead of TEXT.",
)
@click.option(
    "-o", "--output", callback=checked, help="The file to write, or - for stdout.  Or --play."
)
@click.option("--play", is_flag=True, help="Play the audio while it is made.")
@click.option(
    "--voice",
    shell_complete=complete_voice,
    help="The voice's id.  Default: VOXCPM_DEFAULT_VOICE.",
)
@click.option(
    "--model",
    shell_complete=complete_model,
    help="The model's id.  Default: the first that the engine serves.",
)
@click.option(
    "--format",
    "format_",
    shell_complete=complete_format,
    help="mp3, opus, aac, flac, wav, pcm...  Default: by the file extension.",
)
@click.option("--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="The same seed, the same audio.")
def speak(
    text: str | None,
    file: Path | None,
    output: str | None,
    play: bool,
    voice: str | None,
    model: str | None,
    format_: str | None,
    speed: float,
    seed: int | None,
) -> None:
    """Speak TEXT into a file, or play it.  TEXT may be - for stdin.

    A long text, such as a book, is synthesized in parts of about a minute, which are kept beside
    the output in a folder OUTPUT.parts until all are made.  After an interruption the same command
    goes on where it stopped; with another text, voice or setting it starts anew.
    """
    if output is None and not play:
        raise click.UsageError("Name a file to write with -o, or play the audio with --play.")
    if play:
        require_player()
    settings = load_settings()
    ctx = AppContext.open(replace(settings, max_input_chars=LONGEST))
    request = SpeechRequest(
        model=model or ctx.registry.presets_for(ctx.engine.name)[0].id,
        input=_text(text, file),
        voice=voice,
        response_format=format_ or _format_of(output, list(ctx.registry.formats)),
        speed=speed,
        seed=seed,
    )
    with ctx.running_engine() as engine:
        narration = Narration(ctx, engine, request)
        stopwatch = Stopwatch()
        if output is None or is_special(output) or len(narration.parts) == 1:
            _write(narration, output, play, stopwatch)
        else:
            _write_by_parts(narration, output, play, stopwatch)
    summarize("played" if output is None else plain(output), stopwatch)
    if narration.skipped:
        _say(
            f"{narration.skipped} of {len(narration.parts)} parts have nothing that can be spoken, "
            "and were left out."
        )


def _text(text: str | None, file: Path | None) -> str:
    """Return what is spoken.  Raises ClickException."""
    if (text is None) == (file is None):
        raise click.UsageError("Give either TEXT or a file with -f.")
    if text is not None and text != STDIO:
        return _not_empty(text, "TEXT")
    try:
        if file is None or str(file) == STDIO:
            content = sys.stdin.buffer.read()
        else:
            content = file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from error
    name = "standard input" if file is None or str(file) == STDIO else str(file)
    try:
        return _not_empty(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"{name} is not UTF-8 (byte {error.start + 1}). Convert it first, for example: "
            f"iconv -f WINDOWS-1252 -t UTF-8 {file or 'TEXT'} > converted.txt"
        ) from error


def _not_empty(text: str, name: str) -> str:
    if not text.strip():
        raise click.ClickException(f"there is nothing to speak: {name} is empty.")
    return text


def _write(narration: Narration, output: str | None, play: bool, stopwatch: Stopwatch) -> None:
    """Write or play the audio while it is made."""
    with ExitStack() as stack:
        sinks: list[Write] = []
        if output is not None:
            file = stack.enter_context(opened(output))
            sinks.append(stack.enter_context(encoding(file, narration.format, narration.rate)))
        if play:
            sinks.append(stack.enter_context(playing(narration.rate)))
        shown = stack.enter_context(progress(stopwatch))
        for index in range(len(narration.parts)):
            _feed(narration.samples(index, shown), sinks)
        if not stopwatch.seconds:
            raise narration.refusal or NOTHING


def _write_by_parts(narration: Narration, output: str, play: bool, stopwatch: Stopwatch) -> None:
    """Make the parts that are missing, keep each, and write the output from all of them."""
    parts = len(narration.parts)
    with PartFolder.opened(output, narration.facts(), narration.seed) as folder:
        narration.seed = folder.seed
        _announce(folder, parts)
        with _kept(folder, parts), ExitStack() as stack:
            with ExitStack() as making:
                played = [making.enter_context(playing(narration.rate))] if play else []
                shown = making.enter_context(progress(stopwatch))
                _make(narration, folder, played, shown)
            if folder.silent:
                folder.remove()
                raise narration.refusal or NOTHING
            file = stack.enter_context(opened(output))
            _feed(
                folder.samples(),
                [stack.enter_context(encoding(file, narration.format, narration.rate))],
            )
        folder.remove()


def _make(narration: Narration, folder: PartFolder, played: list[Write], shown: OnProgress) -> None:
    for index in range(len(narration.parts)):
        if index not in folder:
            with folder.writing(index) as keep:
                _feed(narration.samples(index, shown), [keep, *played])


def _feed(samples: Iterable[bytes], sinks: Iterable[Write]) -> None:
    for chunk in samples:
        for sink in sinks:
            sink(chunk)


def _announce(folder: PartFolder, parts: int) -> None:
    """Say what is kept of an earlier run, and how to start over."""
    if folder.changed:
        names = ", ".join(folder.changed)
        _say(f"starting anew: the parts in {folder.path} were made with another {names}.")
    elif folder.done:
        _say(
            f"going on: {folder.done} of {parts} parts are in {folder.path}. To start over, delete "
            "that folder."
        )


@contextmanager
def _kept(folder: PartFolder, parts: int) -> Iterator[None]:
    """Say after an interruption or an error what is kept, and how to go on."""
    try:
        yield
    except BaseException as error:
        if not folder.done:
            raise
        kept = f"{folder.done} of {parts} parts are kept in {folder.path}"
        kept += ": run the same command to go on."
        if isinstance(error, click.ClickException | VoxcpmError):
            raise click.ClickException(f"{error}\n{kept}") from error
        click.echo(err=True)  # after ^C
        _say(kept)
        raise


def _say(text: str) -> None:
    click.echo(message(text, prefix=""), err=True)


def _format_of(output: str | None, known: list[str]) -> str:
    if output is None:
        return "wav"  # it has the engine's own rate
    extension = Path(output).suffix.lstrip(".").lower()
    if output == STDIO or not extension:
        return "mp3"
    if extension not in known:
        raise click.UsageError(
            f"'.{extension}' is not a format; there are {', '.join(known)}. Name one with --format."
        )
    return extension
