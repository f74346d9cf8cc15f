"""``voxcpm-openai voices``: who can be asked to speak."""

from __future__ import annotations

import click

from voxcpm_openai.registry import load_registry
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.catalog import Catalog


@click.command()
def voices() -> None:
    """List the voices: id, language, what speaks them, description."""
    catalog = Catalog(load_registry(load_settings()).voices)
    width = max(map(len, catalog.ids()))
    for voice in catalog.all():
        spoken_by = [*sorted(voice.options), *(["any engine that clones"] if voice.audio else [])]
        click.echo(
            f"{voice.id:{width}}  {voice.language or '-':3}  {', '.join(spoken_by)}: "
            f"{voice.description or voice.name}"
        )
