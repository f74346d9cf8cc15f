"""``voxcpm-openai voices``: list, preview, add, design and remove voices."""

from __future__ import annotations

import click

from voxcpm_openai.cli.display import json_option
from voxcpm_openai.cli.voices.add import add
from voxcpm_openai.cli.voices.design import design, keep
from voxcpm_openai.cli.voices.manage import list_voices, remove, show
from voxcpm_openai.cli.voices.preview import preview


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def voices(context: click.Context, as_json: bool) -> None:
    """List the voices, preview them, add your own, design new ones."""
    if context.invoked_subcommand is None:
        context.invoke(list_voices, as_json=as_json)
    elif as_json:
        raise click.UsageError("--json belongs after the name of the command.")


for command in (list_voices, add, show, preview, remove, design, keep):
    voices.add_command(command)
