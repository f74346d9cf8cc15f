"""``voxcpm-openai key``: a new API key for the file of the keys."""

from __future__ import annotations

import click

from voxcpm_openai.accounts.keys import NAME, digest_of, new_key


@click.command()
@click.argument("name")
@click.option("--operator", is_flag=True, help="The key of the operator, who sees everything.")
def key(name: str, operator: bool) -> None:
    """Make an API key of this NAME: print its table for VOXCPM_API_KEYS_FILE, and the key itself.

    The table goes to standard output and has the hash only; the key goes to standard error, once.
    So `voxcpm-openai key NAME >> keys.toml` adds it to a file.
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter("A name has letters, digits, spaces and . @ _ - only.")
    made = new_key()
    click.echo(f'[keys."{name}"]\nkey = "sha256:{digest_of(made)}"')
    if operator:
        click.echo("operator = true")
    click.echo(f"the key, which is shown only now: {made}", err=True)
