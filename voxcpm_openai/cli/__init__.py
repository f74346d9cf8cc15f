"""The command line: ``voxcpm-openai COMMAND``."""

from __future__ import annotations

import click

from voxcpm_openai import __version__
from voxcpm_openai.cli.bench import bench
from voxcpm_openai.cli.models import models, pull
from voxcpm_openai.cli.server import check, serve
from voxcpm_openai.cli.speak import speak
from voxcpm_openai.cli.text import text
from voxcpm_openai.cli.voices import voices
from voxcpm_openai.errors import VoxcpmError


class Group(click.Group):
    """Shows our own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a VoxcpmError becomes exit status 1 and its message."""
        try:
            return super().invoke(ctx)
        except VoxcpmError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group)
@click.version_option(__version__, prog_name="voxcpm-openai")
def main() -> None:
    """Run and use a self-hosted replacement for OpenAI's text-to-speech API.

    Settings come from VOXCPM_* variables and the TOML file that VOXCPM_CONFIG names;
    `voxcpm-openai check` shows them.
    """


for command in (serve, speak, text, voices, models, pull, check, bench):
    main.add_command(command)
