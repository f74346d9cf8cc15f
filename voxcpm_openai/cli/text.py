"""``voxcpm-openai text``: show what would be said."""

from __future__ import annotations

import re
import sys

import click

from voxcpm_openai.cli.completion import complete_engine, complete_voice
from voxcpm_openai.cli.display import json_option, plain, print_json
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Capabilities
from voxcpm_openai.errors import InvalidRequest, SettingsError
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.voices import validation

STDIN = "-"
UNKNOWN = Capabilities(sample_rate=24_000)
"""What is assumed of an engine that says nothing of itself before it starts."""


@click.command()
@click.argument("text")
@click.option(
    "--engine",
    shell_complete=complete_engine,
    help="The engine's name.  Default: the one that would run.",
)
@click.option(
    "--voice",
    shell_complete=complete_voice,
    help="The voice's id.  Default: VOXCPM_DEFAULT_VOICE.",
)
@click.option("--language", help="The language's code.  Default: by script and voice.")
@click.option("--normalize/--no-normalize", default=None, help="Make words for any engine.")
@json_option
def text(
    text: str,
    engine: str | None,
    voice: str | None,
    language: str | None,
    normalize: bool | None,
    as_json: bool,
) -> None:
    """Show what an engine would be asked to say for TEXT.  No engine is started.

    TEXT may be - for stdin; one that begins with - needs -- before it.
    """
    if language is not None and not re.fullmatch(validation.LANGUAGE, language):
        raise InvalidRequest(
            "'language' must be a language code such as 'en' or 'en-US'.", param="language"
        )
    ctx = AppContext.open(load_settings())
    spec = ctx.registry.engine(engine or ctx.engine.name)
    if spec is None:
        known = ", ".join(ctx.registry.engines)
        raise SettingsError(f"There is no engine {engine!r}; there are {known}.")
    request = SpeechRequest(
        model="",
        input=sys.stdin.read() if text == STDIN else text,
        language=language,
        normalize=normalize,
    )
    said = ctx.resolver_for(spec.name).plan_text(
        request,
        ctx.voices.get(voice or ctx.settings.default_voice, OPERATOR),
        spec.capabilities or UNKNOWN,
        OPERATOR,
    )
    if as_json:
        print_json(said.as_json())
        return
    for segment in said.segments:
        pause = click.style(f"  [{segment.pause:g} s]", dim=True) if segment.pause else ""
        click.echo(plain(segment.text) + pause)
