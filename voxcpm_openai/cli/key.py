"""``voxcpm-openai key``: a new API key for the file of the keys."""

from __future__ import annotations

import click

from voxcpm_openai.accounts.keys import NAME, NAME_RULE, digest_of, new_key


@click.command()
@click.argument("name")
@click.option("--operator", is_flag=True, help="Give the key the operator's permissions.")
def key(name: str, operator: bool) -> None:
    """Generate an API key: print its table for VOXCPM_API_KEYS_FILE, and the key itself.

    The table, which has the hash only, goes to standard output, the key to standard error: use
    `voxcpm-openai key NAME >> keys.toml` to add it to a file.
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter(NAME_RULE)
    made = new_key()
    click.echo(f'[keys."{name}"]\nkey = "sha256:{digest_of(made)}"')
    if operator:
        click.echo("operator = true")
    click.echo(f"the key, which is not shown again: {made}", err=True)
