"""``voxcpm-openai voices design``: a voice after a description, without a recording."""

from __future__ import annotations

import click

from voxcpm_openai.cli.started import started
from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.voices import names
from voxcpm_openai.voices.candidates import TAKES, Design, require_design, utterances
from voxcpm_openai.voices.owners import OPERATOR
from voxcpm_openai.voices.takes import Takes


@click.command()
@click.argument("description")
@click.option("--name", help="What the voice is called.  Default: the description.")
@click.option("--language", default="", help="The language to hear it in: en (default), zh.")
def design(description: str, name: str | None, language: str) -> None:
    """Draw candidates after DESCRIPTION, such as "a calm old man".

    Needs VoxCPM2.  `hear` plays a candidate, `keep` makes a voice of it, within an hour.
    """
    house = House.open()
    wish = Design(
        names.name(description[: names.MAX_NAME] if name is None else name),
        names.description(description, least=1),
        names.language(language),
    )
    spec = house.choice().spec
    with started(spec, house.settings) as engine:
        require_design(engine, spec.name)
        clips = Takes(engine, utterances(wish), TAKES).clips()
    candidates = house.candidates.add(wish, clips, owner=OPERATOR)
    for number, (candidate, (_, clip)) in enumerate(zip(candidates, clips, strict=True), 1):
        click.echo(f"{number}  {candidate.id}  {clip.seconds:.1f} s  seed {candidate.seed}")
    click.echo("Hear one:  voxcpm-openai voices hear CANDIDATE", err=True)
    click.echo("Keep one:  voxcpm-openai voices keep CANDIDATE", err=True)
