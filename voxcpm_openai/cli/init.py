"""``voxcpm-openai init``: write the files of a server from four answers."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from voxcpm_openai.accounts.keys import digest_of, new_key
from voxcpm_openai.cli.display import is_terminal, plain
from voxcpm_openai.cli.output import opened
from voxcpm_openai.cli.templates import compose_files, unit

ENGINES = ("auto", "embedded", "voxcpm")
ACCESS = ("local", "network")
SERVICES = ("none", "systemd", "compose")
PROGRAM = "voxcpm-openai"
KEYS, SETTINGS, UNIT = "keys.toml", "voxcpm.toml", "voxcpm-openai.service"
ETC = "/etc/voxcpm-openai"
"""Where the unit expects the settings and the keys."""
DEFAULT_PORT = 7861

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the server is to be.  ``access``: who may connect."""

    engine: str
    access: str
    port: int
    service: str

    @property
    def keyed(self) -> bool:
        """Whether clients need a key: the templates of services all have a file of keys."""
        return self.access == "network" or self.service != "none"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--engine", type=click.Choice(ENGINES), help="The engine.  Default: auto.")
@click.option(
    "--access", type=click.Choice(ACCESS), help="Who may connect: this machine only, or others."
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port.  Default: 7861.")
@click.option(
    "--service", type=click.Choice(SERVICES), help="What starts the server.  Default: none."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(
    folder: Path,
    engine: str | None,
    access: str | None,
    port: int | None,
    service: str | None,
    force: bool,
) -> None:
    """Write the settings of a server into FOLDER, with a unit of systemd or a compose file.

    Asks four questions on a terminal; the options answer them beforehand.  Elsewhere, what has no
    option has its default.  Says what to do next.
    """
    answers = Answers(
        engine or _asked("Which engine?", "auto", click.Choice(ENGINES)),
        access or _asked("Who may connect?", "local", click.Choice(ACCESS)),
        port or _asked("On which port?", DEFAULT_PORT, click.IntRange(1, 65535)),
        service or _asked("What starts the server?", "none", click.Choice(SERVICES)),
    )
    key = new_key() if answers.keyed else None
    files = _files(answers, key, folder)
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        raise click.ClickException(
            f"{', '.join(there)} in {folder} exist already, and nothing was written.  --force "
            "replaces them."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be created: {error.strerror}.") from error
    for name, content in files.items():
        with opened(str(folder / name), binary=False) as file:
            file.write(content.encode())
        if name == KEYS:
            (folder / name).chmod(0o600)
        click.echo(f"wrote {plain(folder / name)}")
    if key is not None:
        click.echo(f"the key of the first client, which is not shown again: {key}", err=True)
    click.echo("\nNext:", err=True)
    for line in _next(answers, folder):
        click.echo(f"  {plain(line)}", err=True)


def _asked(question: str, default: T, kind: click.ParamType[Any]) -> T:
    """Return the answer to a question; the default where nobody can answer."""
    if not is_terminal(sys.stdin):
        return default
    answer: T = click.prompt(question, default=default, type=kind, err=True)
    return answer


def _files(answers: Answers, key: str | None, folder: Path) -> dict[str, str]:
    """Return the content of each file by its name."""
    files = {SETTINGS: _settings(answers, folder)}
    if key is not None:
        files[KEYS] = f'[keys."first"]\nkey = "sha256:{digest_of(key)}"\n'
    if answers.service == "systemd":
        files[UNIT] = unit(_program(), ETC)
    elif answers.service == "compose":
        address = "127.0.0.1" if answers.access == "local" else "0.0.0.0"
        files |= compose_files(f"{address}:{answers.port}", gpu=answers.engine == "voxcpm")
    return files


def _settings(answers: Answers, folder: Path) -> str:
    """Return the TOML file.  Services set the address and the keys that they alone know."""
    lines = ["# All settings: docs/configuration.md.  VOXCPM_* variables win over this file."]
    if answers.service != "compose":
        host = "127.0.0.1" if answers.access == "local" else "0.0.0.0"
        lines += [f'engine = "{answers.engine}"', f'host = "{host}"', f"port = {answers.port}"]
    if answers.keyed and answers.service == "none":
        lines.append(f"api_keys_file = {_toml(str((folder / KEYS).resolve()))}")
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """Return a text as a string of TOML.  Raises ClickException for a name that has no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.ClickException(
            f"{plain(text)} is not UTF-8, which TOML must be: choose another folder."
        ) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _program() -> str:
    """Return the path of this program, for the unit."""
    beside = Path(sys.executable).with_name(PROGRAM)
    return str(beside) if beside.exists() else shutil.which(PROGRAM) or str(beside)


def _next(answers: Answers, folder: Path) -> list[str]:
    """Return the commands that start the server."""
    here = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    if answers.service == "systemd":
        lines = [
            f"sudo install -d -m 700 {ETC}",
            f"{here}sudo install -m 600 {SETTINGS} {KEYS} {ETC}",
            f"{here}sudo install -m 644 {UNIT} /etc/systemd/system/",
            "sudo systemctl enable --now voxcpm-openai",
        ]
        if Path(_program()).is_relative_to(Path.home()):
            lines = [
                f"# The unit cannot read {_program()} (ProtectHome=yes).",
                "# Install voxcpm-openai outside of home folders, as in /opt, and run its init.",
                *lines,
            ]
    elif answers.service == "compose":
        target = "cuda" if answers.engine == "voxcpm" else "cpu"
        lines = [
            f"docker build --target {target} -t voxcpm-openai:{target} .    # in a checkout",
            f"{here}sudo chown 10001 {KEYS} {SETTINGS}",
            f"{here}docker compose up --detach",
        ]
        if answers.engine == "voxcpm":
            lines.insert(2, f"{here}docker compose run --rm speech-gpu voxcpm-openai pull")
    else:
        lines = [f"VOXCPM_CONFIG={shlex.quote(str(folder / SETTINGS))} voxcpm-openai serve"]
        if answers.engine == "voxcpm":
            lines.insert(0, "pip install 'voxcpm-openai[voxcpm]' && voxcpm-openai pull")
    return lines
