"""``voxcpm-openai voices remove``: take an added voice away."""

from __future__ import annotations

import click

from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.voices.owners import OPERATOR


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(id_: str, yes: bool) -> None:
    """Remove the added voice ID for good: its clip, and all that was made of it."""
    house = House.open()
    voice = house.catalog.get(id_, OPERATOR)
    if voice.created_at is None:
        raise click.ClickException(
            f"{id_} is built in or comes from VOXCPM_VOICES_DIR or a plugin; only voices that were "
            "added can be removed."
        )
    if not yes:
        click.confirm(f"Remove '{voice.name}' ({voice.id}) for good?", abort=True)
    house.store.remove(id_, OPERATOR)
    click.echo(f"removed {id_}")
