"""``voxcpm-openai check``: what is set, from where, what was found, and what is wrong."""

from __future__ import annotations

import sys

import click

from voxcpm_openai.errors import StartError
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.settings import Settings, read_settings, sources

SECOND = (
    "VoxCPM2 (VOXCPM_MODEL=openbmb/VoxCPM2) is the better choice for other languages than English "
    "and Chinese, for `instructions`, for designed voices, for 48 kHz, and for clips whose words "
    "are not known; it costs about twice the work"
)


@click.command()
def check() -> None:
    """Print the settings, the plugins and the engine; exit with 1 if the server cannot start."""
    settings, problems = read_settings()
    _print_settings(settings)
    try:
        _print_plugins(settings)
    except StartError as error:
        problems.append(str(error))
    for problem in problems:
        click.secho(f"wrong: {problem}", fg="red", err=True)
    if problems:
        sys.exit(1)
    click.echo("all is well")


def _print_settings(settings: Settings) -> None:
    found = sources()
    width = max(len(source.name) for source in found)
    for source in found:
        value = getattr(settings, source.name)
        if source.name == "api_keys":
            value = f"{len(value)} keys"  # never the keys themselves
        elif source.name == "data_dir":
            value = settings.data_folder
        elif isinstance(value, tuple):
            value = ", ".join(value) or "none"
        click.echo(f"{source.name:{width}}  {value}  [{source.origin}]")


def _print_plugins(settings: Settings) -> None:
    registry = load_registry(settings)
    for plugin in registry.plugins:
        click.echo(f"plugin {plugin.name} ({plugin.origin})")
    for spec in registry.engines.values():
        click.echo(f"engine {spec.name}: {spec.available(settings) or 'can run here'}")
    if "voxcpm2" not in settings.model.lower():
        click.echo(f"model {settings.model}: {SECOND}")
    for transcriber in registry.transcribers.values():
        click.echo(
            f"transcriber {transcriber.name}: {transcriber.available(settings) or 'can run here'}"
        )
    choice = choose_engine(registry, settings)
    click.echo(f"chosen: engine {choice.spec.name} ({choice.why})")
