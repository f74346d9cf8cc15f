"""``voxcpm-openai voices``: who can be asked to speak; one command a file."""

from __future__ import annotations

import click

from voxcpm_openai.cli.voices.add import add
from voxcpm_openai.cli.voices.design import design
from voxcpm_openai.cli.voices.hear import hear
from voxcpm_openai.cli.voices.keep import keep
from voxcpm_openai.cli.voices.listing import listing
from voxcpm_openai.cli.voices.remove import remove
from voxcpm_openai.cli.voices.show import show


@click.group(invoke_without_command=True)
@click.pass_context
def voices(context: click.Context) -> None:
    """List the voices, hear them, add your own, design new ones."""
    if context.invoked_subcommand is None:
        context.invoke(listing)


for command in (listing, add, show, hear, remove, design, keep):
    voices.add_command(command)
