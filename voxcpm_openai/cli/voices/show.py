"""``voxcpm-openai voices show``: all that is known of a voice."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.voices.owners import OPERATOR


@click.command()
@click.argument("id_", metavar="ID")
def show(id_: str) -> None:
    """Show all that is known of the voice ID."""
    voice = House.open().catalog.get(id_, OPERATOR)
    created = voice.created_at
    facts = {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description,
        "language": voice.language,
        "licence": voice.licence,
        "provenance": voice.provenance,
        "added": "" if created is None else datetime.fromtimestamp(created, UTC).isoformat(),
        "owner": "the API key with the hash " + voice.owner if voice.owner else "",
        "engines": ", ".join(sorted(voice.options)),
        "clip": str(voice.audio or ""),
        "transcript": voice.transcript or "",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            click.echo(f"{name:{width}}  {value}")
