"""``voxcpm-openai serve`` and ``check``: start the server, or check whether it can start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

import click

from voxcpm_openai.cli.memory import print_memory
from voxcpm_openai.contracts import EngineSpec
from voxcpm_openai.errors import StartError
from voxcpm_openai.registry import Registry
from voxcpm_openai.server_check import TRIALS, findings
from voxcpm_openai.setting_sources import PREFIX, Source, read_values, sources
from voxcpm_openai.settings import Settings, load_settings, read_settings
from voxcpm_openai.start_checks import examine


def _setting(
    _ctx: click.Context, param: click.Parameter, value: str | int | None
) -> str | int | None:
    """Let an option win over the setting of its name, in all processes of the server."""
    if value == "":
        raise click.BadParameter("It is empty.")
    if value is not None:
        os.environ[f"{PREFIX}{str(param.name).upper()}"] = str(value)
    return value


@click.command()
@click.option("--host", callback=_setting, expose_value=False, help="Instead of VOXCPM_HOST.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    callback=_setting,
    expose_value=False,
    help="Instead of VOXCPM_PORT.",
)
def serve() -> None:
    """Start the server (gunicorn) in the foreground, at VOXCPM_HOST and VOXCPM_PORT."""
    load_settings()  # report a wrong setting before gunicorn starts
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-c", "python:voxcpm_openai.gunicorn_conf", "voxcpm_openai.wsgi:app"]
    run()


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
def check(url: str | None, api_key: str | None, model: str | None) -> None:
    """Print the settings, the plugins and the engine; exit with 1 if the server cannot start.

    With --url, send a running server the requests of OpenAI's, ElevenLabs' and vLLM-Omni's clients,
    and print which of them it answers; exit with 1 if it does not answer one of them.

    With --model, print what a VoxCPM model takes of a GPU's memory, and how many slots, which are
    streams at once, fit on cards of several sizes and on this machine's; no weights are needed.
    """
    if model is not None:
        print_memory(model)
        return
    if url is not None:
        _try_server(url, api_key)
        return
    settings, wrong = read_settings()
    report = examine(settings, problems=wrong)
    problems = list(report.problems)
    _print_settings(settings, report.registry.plugin_settings() if report.registry else [])
    if report.registry:
        try:
            _print_plugins(report.registry, settings)
        except StartError as error:
            problems.append(str(error))
    if report.choice:
        click.echo(f"chosen: engine {report.choice.spec.name} ({report.choice.reason})")
        for note in report.choice.spec.notes(settings):
            click.echo(f"  {note}")
    if report.plan:
        click.echo(f"workers: {report.plan.workers} ({report.plan.reason})")
    for warning in report.warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    for problem in dict.fromkeys(problems):
        click.secho(f"wrong: {problem}", fg="red", err=True)
    if problems:
        sys.exit(1)
    click.echo("the server can start")


def _try_server(url: str, api_key: str | None) -> None:
    """Print what a running server answers; exit with 1 if something is wrong."""
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} should begin with http:// or https://.")
    failed = 0
    for found in findings(url, api_key):
        failed += not found.ok
        mark = click.style("ok  " if found.ok else "FAIL", fg="green" if found.ok else "red")
        name = f"{found.client:10}  {found.what:18}"
        click.echo(f"{mark}  {name}  {found.milliseconds:6} ms  {found.detail}")
    if failed:
        click.secho(f"{failed} of {len(TRIALS)} failed", fg="red", err=True)
        sys.exit(1)


def _print_settings(settings: Settings, plugin_settings: Iterable[type]) -> None:
    """Print every setting; one that is wrong has its default."""
    kinds = {kind: read_values(kind, settings.raw)[0] for kind in (Settings, *plugin_settings)}
    rows = [
        (source.key, _shown(source, values), source.origin)
        for kind, values in kinds.items()
        for source in sources(kind, settings.raw)
    ]
    width = max(len(key) for key, _, _ in rows)
    for key, value, origin in rows:
        click.echo(f"{key:{width}}  {value}  [{origin}]")


def _shown(source: Source, values: Mapping[str, object]) -> object:
    """Return a setting's value as it is printed; never a key."""
    if source.origin != "default" and source.name not in values:
        return "(wrong)"
    value = values.get(source.name, source.value)
    if source.name == "api_keys":
        return f"{len(value) if isinstance(value, tuple) else 0} keys"
    if source.secret:
        return "***" if value else "none"
    if source.name == "data_dir":
        return value or Settings().data_folder
    return ", ".join(value) or "none" if isinstance(value, tuple) else value


def _print_plugins(registry: Registry, settings: Settings) -> None:
    for plugin in registry.plugins:
        click.echo(f"plugin {plugin.name} ({plugin.origin})")
    for spec in registry.specs:
        kind = "engine" if isinstance(spec, EngineSpec) else "transcriber"
        reason = registry.unavailable_reason(spec, settings)
        click.echo(f"{kind} {spec.name}: {reason or 'can run here'}")
        if isinstance(spec, EngineSpec) and spec.install_hint:
            click.echo(f"  {spec.install_hint}")
