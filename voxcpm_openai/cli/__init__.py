"""The command line: ``voxcpm-openai COMMAND``."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from voxcpm_openai import __version__
from voxcpm_openai.cli.bench import bench
from voxcpm_openai.cli.check import check
from voxcpm_openai.cli.completion import completion
from voxcpm_openai.cli.display import colours, message
from voxcpm_openai.cli.init import init
from voxcpm_openai.cli.key import key
from voxcpm_openai.cli.models import models, pull
from voxcpm_openai.cli.output import abandon_standard_output
from voxcpm_openai.cli.server import serve
from voxcpm_openai.cli.speak import speak
from voxcpm_openai.cli.text import text
from voxcpm_openai.cli.voices import voices
from voxcpm_openai.errors import VoxcpmError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a write to a disk that is full; a command catches those of its own files."""


class Group(click.Group):
    """Shows our own errors as one message, without a traceback."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the options before the command."""
        with _plain_messages():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a VoxcpmError becomes exit status 1 and its message."""
        if not colours():
            ctx.color = False
        try:
            with _plain_messages(), _exit_on_termination():
                return super().invoke(ctx)
        except VoxcpmError as error:
            raise click.ClickException(message(error)) from error
        except OSError as error:
            if error.filename is not None or error.errno not in FULL:
                raise
            abandon_standard_output()
            raise click.ClickException(
                f"standard output cannot be written: {error.strerror}"
            ) from error


@contextmanager
def _plain_messages() -> Iterator[None]:
    """Let no message have control characters: arguments and file names may."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = message(error.message)  # final for type checkers only
        raise


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


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxcpm-openai")
def main() -> None:
    """Run and use a self-hosted replacement for OpenAI's text-to-speech API.

    Settings come from VOXCPM_* variables and the TOML file that VOXCPM_CONFIG names;
    `voxcpm-openai check` shows them.  NO_COLOR=1 prints no colours; in a pipe there are none.
    """


for command in (serve, speak, text, voices, models, pull, key, init, check, bench, completion):
    main.add_command(command)
