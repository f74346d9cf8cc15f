"""``voxcpm-openai voices list``: who can be asked to speak."""

from __future__ import annotations

import click

from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.voices.owners import OPERATOR


@click.command("list")
def listing() -> None:
    """List the voices: id, language, what speaks them, name, description."""
    voices = House.open().catalog.all(OPERATOR)
    width = max((len(voice.id) for voice in voices), default=0)
    for voice in voices:
        spoken_by = [*sorted(voice.options), *(["any engine that clones"] if voice.audio else [])]
        told = voice.description or voice.name
        if voice.created_at is not None:  # its id says nothing
            told = ", ".join(dict.fromkeys(filter(None, (voice.name, voice.description))))
        click.echo(f"{voice.id:{width}}  {voice.language or '-':3}  {', '.join(spoken_by)}: {told}")
