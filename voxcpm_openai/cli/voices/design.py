"""``voxcpm-openai voices design`` and ``keep``: voices from a description."""

from __future__ import annotations

import click

from voxcpm_openai.context import AppContext
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.library import require_design
from voxcpm_openai.voices.preview import CANDIDATES, BatchSynthesis, design_utterances
from voxcpm_openai.voices.store.candidates import Design


@click.command()
@click.argument("description")
@click.option("--name", help="The name of the voice.  Default: the description.")
@click.option("--language", default="", help="The language of the previews: en (default), zh.")
def design(description: str, name: str | None, language: str) -> None:
    """Synthesize candidates for DESCRIPTION, such as "a calm old man".

    Needs VoxCPM2.  `preview` plays a candidate, `keep` makes it a voice, within an hour.
    """
    ctx = AppContext.open(load_settings())
    wanted = Design(
        validation.name(description[: validation.MAX_NAME] if name is None else name),
        validation.description(description, min_length=1),
        validation.language(language),
    )
    with ctx.running_engine() as engine:
        require_design(ctx.engine.name, engine.capabilities, hint=ctx.other_engines)
        clips = BatchSynthesis(engine, design_utterances(wanted), CANDIDATES).synthesize_all()
    candidates = ctx.candidates.add(wanted, clips, OPERATOR)
    for number, (candidate, (_, clip)) in enumerate(zip(candidates, clips, strict=True), 1):
        click.echo(f"{number}  {candidate.id}  {clip.seconds:.1f} s  seed {candidate.seed}")
    click.echo("Play one:  voxcpm-openai voices preview CANDIDATE", err=True)
    click.echo("Keep one:  voxcpm-openai voices keep CANDIDATE", err=True)


@click.command()
@click.argument("id_", metavar="CANDIDATE")
def keep(id_: str) -> None:
    """Make a candidate that `design` made less than an hour ago a voice."""
    click.echo(AppContext.open(load_settings()).store.keep(id_, OPERATOR).id)
