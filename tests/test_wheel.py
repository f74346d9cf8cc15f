"""The wheel carries all that it needs: installed into an environment, run in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from tests.live import free_port

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps",
         "--no-build-isolation", "-w", str(folder), str(ROOT)],
        check=True, capture_output=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_puts_nothing_but_the_package_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"voxcpm_openai"}
    assert "voxcpm_openai/_stock/plugins/hibari_engine.py" in names
    assert "voxcpm_openai/_stock/voices/alloy.toml" in names


def test_the_wheel_serves_and_speaks_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    # The environment sees this one's third-party packages, but not this checkout.
    venv.create(tmp_path / "env", with_pip=False)
    binaries = tmp_path / "env" / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    (site / "outer.pth").write_text(sysconfig.get_path("purelib"))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("VOXCPM_", "PIP_"))}
    install = "pip install -q --no-index --no-deps".split()
    subprocess.run(
        [binaries / "python", "-m", *install, str(wheel)], env=environ, check=True, cwd=tmp_path
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    port = free_port()
    with subprocess.Popen(
        [binaries / "voxcpm-openai", "serve"],
        cwd=empty,
        env={**environ, "VOXCPM_PORT": str(port)},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        lines = []
        for line in server.stderr:
            lines.append(line)
            if " ready at http" in line:
                break
        try:
            assert "engine hibari" in lines[-1], "".join(lines)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/audio/speech",
                b'{"model": "tts-1", "input": "Hello from the wheel.", "voice": "cedar"}',
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=20) as reply:
                assert len(reply.read()) > 5_000
        finally:
            server.terminate()
            server.stderr.read()
    assert server.returncode == 0
    assert list(empty.iterdir()) == []
