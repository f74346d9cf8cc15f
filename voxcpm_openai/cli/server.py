"""``voxcpm-openai serve``: start the server."""

from __future__ import annotations

import os
import sys

import click

from voxcpm_openai.setting_sources import PREFIX
from voxcpm_openai.settings import load_settings


def _setting(
    _ctx: click.Context, param: click.Parameter, value: str | int | None
) -> str | int | None:
    """Let an option win over the setting of its name, in all processes of the server."""
    if value == "":
        raise click.BadParameter("It is empty.")
    if value is not None:
        os.environ[f"{PREFIX}{str(param.name).upper()}"] = str(value)
    return value


@click.command()
@click.option("--host", callback=_setting, expose_value=False, help="Instead of VOXCPM_HOST.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    callback=_setting,
    expose_value=False,
    help="Instead of VOXCPM_PORT.",
)
def serve() -> None:
    """Start the server (gunicorn) in the foreground, at VOXCPM_HOST and VOXCPM_PORT."""
    load_settings()  # report a wrong setting before gunicorn starts
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-c", "python:voxcpm_openai.gunicorn_conf", "voxcpm_openai.wsgi:app"]
    run()
