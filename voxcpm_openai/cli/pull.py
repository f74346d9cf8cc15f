"""``voxcpm-openai pull``: a checkpoint of the voxcpm engine, from the hub to this disk."""

from __future__ import annotations

import importlib.util

import click

from voxcpm_openai.settings import load_settings


@click.command()
@click.argument("model", required=False)
def pull(model: str | None) -> None:
    """Download MODEL (an id on the hub; default VOXCPM_MODEL), going on where it was cut off."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise click.ClickException(
            "the package huggingface_hub is missing; pip install 'voxcpm-openai[voxcpm]'."
        )
    from voxcpm_openai.runtime import weights

    click.echo(weights.pull(model or load_settings().model))
