"""``voxcpm-openai models`` and ``pull``: model ids, and the checkpoints of the voxcpm engine."""

from __future__ import annotations

import importlib.util

import click

from voxcpm_openai.context import AppContext
from voxcpm_openai.settings import load_settings


@click.command()
def models() -> None:
    """List the model ids; those that the chosen engine does not serve are marked."""
    ctx = AppContext.open(load_settings())
    presets = ctx.registry.presets
    width = max(map(len, presets))
    for preset in presets.values():
        options = ", ".join(f"{name}={value}" for name, value in preset.options.items())
        served = preset.engine in (None, ctx.engine.name)
        needs = "" if served else f"  (needs VOXCPM_ENGINE={preset.engine})"
        click.echo(
            f"{preset.id:{width}}  {preset.engine or 'any engine'}  {options}{needs}".rstrip()
        )


@click.command()
@click.argument("model", required=False)
@click.option("--mirror", metavar="URL", help="Another hub; default HF_ENDPOINT.")
def pull(model: str | None, mirror: str | None) -> None:
    """Download MODEL (a hub id; default VOXCPM_MODEL), and verify the checksums of its files.

    An interrupted download is resumed.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise click.ClickException(
            "the package huggingface_hub is missing; pip install 'voxcpm-openai[voxcpm]'."
        )
    from voxcpm_openai.runtime.loading import hub
    from voxcpm_openai.runtime.settings import VoxcpmSettings

    click.echo(hub.pull(model or load_settings().of(VoxcpmSettings).model, mirror))
