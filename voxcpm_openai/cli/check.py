"""``voxcpm-openai check``: whether the server can start, or whether a running one answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from voxcpm_openai import __version__
from voxcpm_openai.cli.check_report import EngineRow, Report, SettingRow, report_of
from voxcpm_openai.cli.display import (
    Column,
    is_terminal,
    json_option,
    message,
    plain,
    print_json,
    print_table,
    print_text,
    print_title,
    working,
)
from voxcpm_openai.cli.memory import print_memory
from voxcpm_openai.server_check import TRIALS, Finding, findings

SETTINGS = (Column("setting", "bold"), Column("value", wrap=True), Column("from", "dim", wrap=True))
PLUGINS = (Column("plugin", "bold"), Column("from", "dim", wrap=True))
ENGINES = (
    Column("name", "bold"),
    Column("kind", "dim"),
    Column("state", wrap=True),
    Column("good for", "dim", wrap=True),
)
WIDE = 120
"""Columns of a terminal that make a table of the engines, which have long texts, readable."""
TRIAL_COLUMNS = (
    Column("request", "bold"),
    Column("", styles={"ok": "green", "FAIL": "bold red"}),
    Column("ms", "dim", right=True),
    Column("answer", wrap=True),
)


@click.command()
@click.option("--url", help="Try the running server there instead, as its clients would.")
@click.option("--api-key", envvar="OPENAI_API_KEY", help="The key that is sent with --url.")
@click.option(
    "--model",
    is_flag=False,
    flag_value="",
    metavar="[NAME or FOLDER]",
    help="Compute what this VoxCPM model takes on a GPU instead; without a name: VOXCPM_MODEL.",
)
@json_option
def check(url: str | None, api_key: str | None, model: str | None, as_json: bool) -> None:
    """Print the settings, the plugins and the engine; exit with 1 if the server cannot start.

    With --url, send a running server the requests of OpenAI's, ElevenLabs' and vLLM-Omni's clients,
    and print which of them it answers; exit with 1 if it does not answer one of them.

    With --model, print what a VoxCPM model takes of a GPU's memory, and how many slots, which are
    streams at once, fit on cards of several sizes and on this machine's; no weights are needed.
    """
    if model is not None:
        print_memory(model, as_json=as_json)
    elif url is not None:
        _try_server(url, api_key, as_json=as_json)
    else:
        _check_start(as_json=as_json)


def _check_start(*, as_json: bool) -> None:
    """Print whether the server can start; exit with 1 if it cannot."""
    report = report_of()
    if as_json:
        print_json({"ok": report.ok, "version": __version__, **report.as_json()})
    else:
        _print_report(report)
    if not report.ok:
        sys.exit(1)


def _print_report(report: Report) -> None:
    print_title("Settings")
    _print_settings(report.settings)
    print_title("Plugins")
    _print_plugins(report.plugins)
    print_title("Engines")
    _print_engines(report.engines)
    print_title("Start")
    if report.chosen:
        print_text(f"chosen: engine {report.chosen.name} ({report.chosen.reason})")
        for note in report.chosen.notes:
            print_text(f"  {note}")
    if report.workers:
        print_text(f"workers: {report.workers.count} ({report.workers.reason})")
    for warning in report.warnings:
        click.secho(message(f"warning: {warning}", ""), fg="yellow", err=True)
    for problem in report.problems:
        click.secho(message(f"wrong: {problem}", ""), fg="red", err=True)
    if report.ok:
        click.secho("the server can start", fg="green")


def _print_settings(rows: tuple[SettingRow, ...]) -> None:
    if is_terminal(sys.stdout):
        print_table(SETTINGS, [(row.key, row.shown, row.origin) for row in rows])
        return
    width = max(len(row.key) for row in rows)
    for row in rows:
        click.echo(plain(f"{row.key:{width}}  {row.shown}  [{row.origin}]"))


def _print_plugins(plugins: Mapping[str, str]) -> None:
    if is_terminal(sys.stdout):
        print_table(PLUGINS, list(plugins.items()))
        return
    for name, origin in plugins.items():
        click.echo(plain(f"plugin {name} ({origin})"))


def _print_engines(rows: tuple[EngineRow, ...]) -> None:
    if is_terminal(sys.stdout):
        cells = [(row.name, row.kind, row.reason or "can run here", row.hint) for row in rows]
        print_table(ENGINES, cells, least=WIDE)
        return
    for row in rows:
        click.echo(plain(f"{row.kind} {row.name}: {row.reason or 'can run here'}"))
        if row.hint:
            click.echo(plain(f"  {row.hint}"))


def _try_server(url: str, api_key: str | None, *, as_json: bool) -> None:
    """Print what a running server answers; exit with 1 if something is wrong."""
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} should begin with http:// or https://.")
    found: list[Finding] = []
    in_lines = not as_json and not is_terminal(sys.stdout)
    with working(f"trying {url}") as tell:
        for one in findings(url, api_key):
            found.append(one)
            tell(f"{len(found)} of {len(TRIALS)}: {one.client}, {one.what}")
            if in_lines:
                name = f"{one.client:10}  {one.what:18}"
                mark = "ok  " if one.ok else "FAIL"
                click.echo(plain(f"{mark}  {name}  {one.milliseconds:6} ms  {one.detail}"))
    failed = sum(not one.ok for one in found)
    if as_json:
        trials = [{name: getattr(one, name) for name in Finding.__slots__} for one in found]
        print_json({"ok": not failed, "url": url, "trials": trials})
    elif not in_lines:
        _print_findings(found)
    if failed:
        click.secho(f"{failed} of {len(TRIALS)} failed", fg="red", err=True)
        if not as_json and not found[0].ok:
            click.echo("Does the server run there?  voxcpm-openai serve", err=True)
        sys.exit(1)


def _print_findings(found: list[Finding]) -> None:
    rows = [
        (f"{one.client}: {one.what}", "ok" if one.ok else "FAIL", one.milliseconds, one.detail)
        for one in found
    ]
    print_table(TRIAL_COLUMNS, rows)
