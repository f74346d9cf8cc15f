"""The command line: ``voxcpm-openai COMMAND``."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from voxcpm_openai import __version__
from voxcpm_openai.cli.bench import bench
from voxcpm_openai.cli.key import key
from voxcpm_openai.cli.models import models, pull
from voxcpm_openai.cli.output import abandon_standard_output
from voxcpm_openai.cli.server import check, serve
from voxcpm_openai.cli.speak import speak
from voxcpm_openai.cli.text import text
from voxcpm_openai.cli.voices import voices
from voxcpm_openai.errors import VoxcpmError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a write to a disk that is full; a command catches those of its own files."""


class Group(click.Group):
    """Shows our own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a VoxcpmError becomes exit status 1 and its message."""
        try:
            with _exit_on_termination():
                return super().invoke(ctx)
        except VoxcpmError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is not None or error.errno not in FULL:
                raise
            abandon_standard_output()
            raise click.ClickException(
                f"standard output cannot be written: {error.strerror}"
            ) from error


class _Terminated(BaseException):
    """SIGTERM.  No SystemExit: that of a plugin is the failure of an engine."""


@contextmanager
def _exit_on_termination() -> Iterator[None]:
    """Make SIGTERM an exit that cleans up: engines are stopped, unfinished files deleted."""

    def terminate(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _Terminated:
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(cls=Group)
@click.version_option(__version__, prog_name="voxcpm-openai")
def main() -> None:
    """Run and use a self-hosted replacement for OpenAI's text-to-speech API.

    Settings come from VOXCPM_* variables and the TOML file that VOXCPM_CONFIG names;
    `voxcpm-openai check` shows them.
    """


for command in (serve, speak, text, voices, models, pull, key, check, bench):
    main.add_command(command)
