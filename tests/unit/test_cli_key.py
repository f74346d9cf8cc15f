"""``voxcpm-openai key``: what it prints is a file of keys, and the key opens the server."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from voxcpm_openai.accounts.keyring import Keyring
from voxcpm_openai.cli import main
from voxcpm_openai.principal import Role
from voxcpm_openai.settings import Settings


def test_the_output_is_a_file_of_keys_and_has_no_key_in_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    keys = {}
    for arguments in (["jane"], ["the boss", "--operator"]):
        result = CliRunner().invoke(main, ["key", *arguments])
        assert result.exit_code == 0
        with file.open("a") as output:
            output.write(result.stdout)
        keys[arguments[0]] = result.stderr.split()[-1]
        assert keys[arguments[0]] not in result.stdout
    ring = Keyring(Settings(api_keys_file=file))
    found = {name: ring.find(key.encode()) for name, key in keys.items()}
    assert {name: key and key.name for name, key in found.items()} == {name: name for name in keys}
    assert [key and key.principal.role for key in found.values()] == [Role.KEY, Role.OPERATOR]


def test_a_name_that_a_file_cannot_have_is_refused() -> None:
    result = CliRunner().invoke(main, ["key", 'a"]\nkey = "x'])
    assert (result.exit_code, result.stdout) == (2, "")
