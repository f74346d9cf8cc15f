"""``voxcpm-openai models``: the model ids and the engines that serve them."""

from __future__ import annotations

import click

from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.settings import load_settings


@click.command()
def models() -> None:
    """List the model ids; those that the chosen engine does not serve are marked."""
    settings = load_settings()
    registry = load_registry(settings)
    running = choose_engine(registry, settings).spec.name
    width = max(map(len, registry.presets))
    for preset in registry.presets.values():
        options = ", ".join(f"{name}={value}" for name, value in preset.options.items())
        served = preset.engine in (None, running)
        needs = "" if served else f"  (needs VOXCPM_ENGINE={preset.engine})"
        click.echo(
            f"{preset.id:{width}}  {preset.engine or 'any engine'}  {options}{needs}".rstrip()
        )
