"""``voxcpm-openai voices keep``: a candidate becomes a voice."""

from __future__ import annotations

import click

from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.voices.owners import OPERATOR


@click.command()
@click.argument("id_", metavar="CANDIDATE")
def keep(id_: str) -> None:
    """Keep a candidate that `design` made less than an hour ago."""
    click.echo(House.open().store.keep(id_, OPERATOR).id)
