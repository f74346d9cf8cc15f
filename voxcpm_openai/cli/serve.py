"""``voxcpm-openai serve``: the server in the foreground."""

from __future__ import annotations

import sys

import click

from voxcpm_openai.settings import load_settings


@click.command()
def serve() -> None:
    """Start the server (gunicorn) in the foreground; VOXCPM_HOST and VOXCPM_PORT say where."""
    load_settings()  # a wrong setting is told before gunicorn starts
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-c", "python:voxcpm_openai.gunicorn_conf", "voxcpm_openai.wsgi:app"]
    run()
