"""``voxcpm-openai voices list``, ``show`` and ``remove``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from voxcpm_openai.cli.completion import complete_voice
from voxcpm_openai.cli.display import Column, json_option, plain, print_json, print_table
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Voice
from voxcpm_openai.listing import list_object, voice_object
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.library import spoken_by

COLUMNS = (
    Column("voice", "bold cyan"),
    Column("lang"),
    Column("description", wrap=True),
    Column("engines", "dim", wrap=True),
)


@click.command("list")
@json_option
def list_voices(as_json: bool) -> None:
    """List the voices: id, language, name and description, engines."""
    voices = AppContext.open(load_settings()).voices.all(OPERATOR)
    if as_json:
        print_json(list_object([voice_object(voice) for voice in voices]))
        return
    print_table(COLUMNS, map(_row, voices))


def _row(voice: Voice) -> tuple[str, str, str, str]:
    text = voice.description or voice.name
    if voice.created_at is not None:  # its id is random
        text = ", ".join(dict.fromkeys(filter(None, (voice.name, voice.description))))
    return voice.id, voice.language or "-", text, ", ".join(spoken_by(voice))


@click.command()
@click.argument("id_", metavar="ID", shell_complete=complete_voice)
@json_option
def show(id_: str, as_json: bool) -> None:
    """Show all properties of the voice ID."""
    voice = AppContext.open(load_settings()).voices.get(id_, OPERATOR)
    if as_json:
        print_json(voice_object(voice))
        return
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
    columns = (Column("property", "bold"), Column("value", wrap=True))
    print_table(columns, [(name, value) for name, value in facts.items() if value])


@click.command()
@click.argument("id_", metavar="ID", shell_complete=complete_voice)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(id_: str, yes: bool) -> None:
    """Delete the added voice ID: its clip, and everything made from it."""
    ctx = AppContext.open(load_settings())
    voice = ctx.voices.get_added(id_, OPERATOR)
    if not yes:
        click.confirm(
            f"Remove '{plain(voice.name)}' ({voice.id})? This cannot be undone.", abort=True
        )
    ctx.store.remove(id_, OPERATOR)
    click.echo(f"removed {id_}")
