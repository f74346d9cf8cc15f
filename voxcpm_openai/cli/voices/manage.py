"""``voxcpm-openai voices list``, ``show`` and ``remove``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from voxcpm_openai.context import AppContext
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.library import spoken_by


@click.command("list")
def list_voices() -> None:
    """List the voices: id, language, engines, name and description."""
    voices = AppContext.open(load_settings()).voices.all(OPERATOR)
    width = max((len(voice.id) for voice in voices), default=0)
    for voice in voices:
        text = voice.description or voice.name
        if voice.created_at is not None:  # its id is random
            text = ", ".join(dict.fromkeys(filter(None, (voice.name, voice.description))))
        engines = ", ".join(spoken_by(voice))
        click.echo(f"{voice.id:{width}}  {voice.language or '-':3}  {engines}: {text}")


@click.command()
@click.argument("id_", metavar="ID")
def show(id_: str) -> None:
    """Show all properties of the voice ID."""
    voice = AppContext.open(load_settings()).voices.get(id_, OPERATOR)
    created = voice.created_at
    facts = {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description,
        "language": voice.language,
        "license": voice.license,
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


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(id_: str, yes: bool) -> None:
    """Delete the added voice ID: its clip, and everything made from it."""
    ctx = AppContext.open(load_settings())
    voice = ctx.voices.get_added(id_, OPERATOR)
    if not yes:
        click.confirm(f"Remove '{voice.name}' ({voice.id})? This cannot be undone.", abort=True)
    ctx.store.remove(id_, OPERATOR)
    click.echo(f"removed {id_}")
