"""``voxcpm-openai completion``: the script that completes commands in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import get_completion_class

from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import VoxcpmError
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "voxcpm-openai"
VARIABLE = "_VOXCPM_OPENAI_COMPLETE"
"""The variable by which the script asks the program; click derives the same from its name."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, voices and models in SHELL.

    \b
    bash:  eval "$(voxcpm-openai completion bash)"      in ~/.bashrc
    zsh:   eval "$(voxcpm-openai completion zsh)"       in ~/.zshrc
    fish:  voxcpm-openai completion fish > ~/.config/fish/completions/voxcpm-openai.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())


def _completing(names: Callable[[AppContext], Iterable[str]]) -> Complete:
    """Return what completes the names that an application has; none if it cannot be opened."""

    def complete(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
        try:
            found = names(AppContext.open(load_settings()))
        except VoxcpmError:
            return []
        return [name for name in found if name.startswith(begun)]

    return complete


complete_voice = _completing(lambda ctx: ctx.voices.ids(OPERATOR))
complete_model = _completing(lambda ctx: ctx.registry.presets)
complete_format = _completing(lambda ctx: ctx.registry.formats)
complete_engine = _completing(lambda ctx: ctx.registry.engines)
