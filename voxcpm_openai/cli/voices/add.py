"""``voxcpm-openai voices add``: a voice from a recording."""

from __future__ import annotations

from pathlib import Path

import click

from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import InvalidRequest, VoxcpmError
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.intake import clip
from voxcpm_openai.voices.intake.clip import Clip

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("recording", type=FILE)
@click.option("--name", required=True, help="The name of the voice.")
@click.option("--transcript", default="", help="The exact words of the recording.")
@click.option("--description", default="", help="A description, for listings.")
@click.option("--language", default="", help="Its language: en, zh...")
@click.option("--consent", type=FILE, help="A recording in which the speaker allows the use.")
def add(
    recording: Path,
    name: str,
    transcript: str,
    description: str,
    language: str,
    consent: Path | None,
) -> None:
    """Add a voice that sounds like RECORDING: 5 to 15 s of one speaker, without noise.

    Every client of the server may use the voice.
    """
    ctx = AppContext.open(load_settings())
    name, description = validation.name(name), validation.description(description)
    language = validation.language(language)
    words = validation.transcript(transcript)
    sample = clip.clean(_content(recording), param="RECORDING")
    words = words or _transcribed(ctx, sample, language)
    allowed = None
    if consent is not None:
        recording_of_consent = clip.clean(_content(consent), param="--consent").flac()
        allowed = ctx.consents.add(
            name, recording_of_consent, language=language, principal=OPERATOR
        )
    try:
        voice = ctx.store.add(
            name,
            sample.flac(),
            principal=OPERATOR,
            transcript=words,
            description=description,
            language=language,
            consent=allowed.id if allowed else None,
        )
    except VoxcpmError:
        if allowed is not None:
            ctx.consents.remove(allowed.id, OPERATOR)
        raise
    click.echo(voice.id)


def _content(path: Path) -> bytes:
    """Return the bytes of a file or of a pipe, at most one more than is accepted."""
    try:
        with path.open("rb") as file:
            return file.read(clip.MAX_BYTES + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error


def _transcribed(ctx: AppContext, sample: Clip, language: str) -> str:
    """Transcribe a recording; return an empty string if no transcriber is available."""
    try:
        words = validation.transcript(
            ctx.transcriber.transcribe(sample, language.partition("-")[0].lower())
        )
    except InvalidRequest as error:
        click.echo(
            f"{error} Engines that need a transcript cannot speak with this voice.",
            err=True,
        )
        return ""
    click.echo(f"transcript: {words}", err=True)
    return words
