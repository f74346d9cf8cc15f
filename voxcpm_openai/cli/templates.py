"""The templates of ``init``: the files of ``deploy/``, adapted to one server.

What is replaced must be there once: a template that has changed is an error, never a file that is
half right.
"""

from __future__ import annotations

import re
from pathlib import Path

_PACKED = Path(__file__).parents[1] / "_stock" / "deploy"
FOLDER = _PACKED if _PACKED.is_dir() else Path(__file__).parents[2] / "deploy"
"""The folder of the templates: in the wheel, or beside the package in a checkout."""

_PROGRAM = "/opt/voxcpm-openai/bin/voxcpm-openai"
_CREDENTIAL = "LoadCredential=keys.toml:/etc/voxcpm-openai/keys.toml\n"
_KEYS = "Environment=VOXCPM_API_KEYS_FILE=%d/keys.toml\n"
_CONFIG = "Environment=VOXCPM_CONFIG=%d/voxcpm.toml\n"
_BUILD = re.compile(r"    build:\n      context: \.\.\n      target: \w+\n")
_SECRET = "    - keys.toml\n"
_SECRETS = "    file: ./keys.toml\n"
_VARIABLE = "    VOXCPM_API_KEYS_FILE: /run/secrets/keys.toml\n"


def unit(program: str, folder: str) -> str:
    """Return a unit of systemd that runs a program with the settings and the keys of a folder."""
    text = (FOLDER / "voxcpm-openai.service").read_text(encoding="utf-8")
    text = _replaced(text, _PROGRAM, _escaped(program))
    settings = f"LoadCredential=voxcpm.toml:{folder}/voxcpm.toml\n"
    keys = _CREDENTIAL.replace("/etc/voxcpm-openai", folder)
    text = _replaced(text, _CREDENTIAL, keys + settings)
    return _replaced(text, _KEYS, _KEYS + _CONFIG)


def _escaped(path: str) -> str:
    """Return a path as systemd reads it in ``ExecStart``; it takes none with quotes."""
    text = path.replace("%", "%%")
    return f'"{text}"' if re.search(r"[\s;]", text) else text


def compose_files(address: str, *, gpu: bool) -> dict[str, str]:
    """Return the files of Docker Compose by their names; nginx publishes at ``host:port``.

    The images are not built from here: a folder of settings has no sources.
    """
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    text = _BUILD.sub("", text[text.index("x-speech:") :])
    config = f"    VOXCPM_CONFIG: /run/secrets/voxcpm.toml\n{_VARIABLE}"
    text = _replaced(text, _VARIABLE, config)
    text = _replaced(text, _SECRET, f"{_SECRET}    - voxcpm.toml\n")
    text = _replaced(text, _SECRETS, f"{_SECRETS}  voxcpm.toml:\n    file: ./voxcpm.toml\n")
    environment = f"COMPOSE_PROFILES={'gpu' if gpu else 'cpu'}\nSPEECH_PORT={address}\n"
    nginx = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    return {"compose.yaml": text, "nginx.conf": nginx, ".env": environment}


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"the template does not have {old!r} once")
    return text.replace(old, new)
