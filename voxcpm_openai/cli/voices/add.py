"""``voxcpm-openai voices add``: a voice of a recording."""

from __future__ import annotations

from pathlib import Path

import click

from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.errors import InvalidRequest, VoxcpmError
from voxcpm_openai.voices import clip, names
from voxcpm_openai.voices.clip import Clip
from voxcpm_openai.voices.owners import OPERATOR
from voxcpm_openai.voices.transcript import Transcripts

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("recording", type=FILE)
@click.option("--name", required=True, help="What the voice is called.")
@click.option("--transcript", default="", help="The exact words of the recording.")
@click.option("--description", default="", help="What the voice is like, for listings.")
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
    """Add a voice that sounds like RECORDING: 5 to 15 s of one speaker, in quiet.

    Whoever may use the server may use the voice.
    """
    house = House.open()
    name, description = names.name(name), names.description(description)
    language = names.language(language)
    words = names.transcript(transcript)
    sample = clip.clean(recording.read_bytes(), param="RECORDING")
    words = words or _words(house, sample, language)
    allowed = None
    if consent is not None:
        spoken = clip.clean(consent.read_bytes(), param="--consent").flac()
        allowed = house.consents.add(name, spoken, owner=OPERATOR, language=language)
    try:
        voice = house.store.add(
            name,
            sample.flac(),
            owner=OPERATOR,
            transcript=words,
            description=description,
            language=language,
            consent=allowed.id if allowed else None,
        )
    except VoxcpmError:
        if allowed is not None:
            house.consents.remove(allowed.id, OPERATOR)
        raise
    click.echo(voice.id)


def _words(house: House, sample: Clip, language: str) -> str:
    """Return the words of a recording that came without them; empty where nobody can tell."""
    transcripts = Transcripts(house.registry.transcribers, house.settings)
    try:
        words = names.transcript(transcripts.words(sample, language.partition("-")[0].lower()))
    except InvalidRequest as error:
        click.echo(
            f"{error} Without --transcript, VoxCPM2 can speak in this voice; VoxCPM-0.5B and "
            "VoxCPM1.5 cannot.",
            err=True,
        )
        return ""
    click.echo(f"transcript: {words}", err=True)
    return words
