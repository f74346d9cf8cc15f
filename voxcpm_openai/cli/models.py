"""``voxcpm-openai models`` and ``pull``: model ids, and the checkpoints of the voxcpm engine."""

from __future__ import annotations

import importlib.util

import click

from voxcpm_openai.cli.display import Column, json_option, print_json, print_table
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Preset
from voxcpm_openai.listing import list_object, model_object
from voxcpm_openai.settings import load_settings

COLUMNS = (
    Column("model", "bold cyan"),
    Column("engine", wrap=True),
    Column("options", "dim", wrap=True),
    Column("", "yellow", wrap=True),
)


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the model ids; those that the chosen engine does not serve are marked."""
    ctx = AppContext.open(load_settings())
    presets = ctx.registry.presets.values()
    running = ctx.engine.name
    if as_json:
        print_json(list_object([_preset_json(preset, running) for preset in presets]))
        return
    print_table(COLUMNS, [_row(preset, running) for preset in presets])


def _row(preset: Preset, running: str) -> tuple[str, str, str, str]:
    options = ", ".join(f"{name}={value}" for name, value in preset.options.items())
    needs = "" if _is_served(preset, running) else f"(needs VOXCPM_ENGINE={preset.engine})"
    return preset.id, preset.engine or "any engine", options, needs


def _preset_json(preset: Preset, running: str) -> dict[str, object]:
    served = _is_served(preset, running)
    own = {"engine": preset.engine, "options": dict(preset.options), "served": served}
    return {**model_object(preset), **own}


def _is_served(preset: Preset, running: str) -> bool:
    return preset.engine in (None, running)


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
