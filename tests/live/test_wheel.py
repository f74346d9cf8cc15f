"""The wheel is complete: installed into an environment, it runs in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.live_server import free_port


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
    assert "voxcpm_openai/_stock/plugins/embedded_engine.py" in names
    assert "voxcpm_openai/_stock/voices/alloy.toml" in names
    assert "voxcpm_openai/_stock/deploy/compose.yaml" in names
    assert "voxcpm_openai/py.typed" in names
    page = ROOT / "voxcpm_openai" / "web" / "page"
    for path in page.rglob("*.*"):
        assert path.relative_to(ROOT).as_posix() in names
    assert "voxcpm_openai/web/openapi/viewer/redoc.standalone.js" in names


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel.

    It sees the third-party packages of this one, but not this checkout.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "env" / "lib" / version / "site-packages"
    (site / "outer.pth").write_text(sysconfig.get_path("purelib"))
    binaries = folder / "env" / "bin"
    install = "pip install -q --no-index --no-deps".split()
    command = [binaries / "python", "-m", *install, str(wheel)]
    subprocess.run(command, env=environ(), check=True, cwd=folder)
    return binaries


def environ() -> dict[str, str]:
    """Return the variables of this process, without those that would reveal this checkout."""
    hidden = ("VOXCPM_", "PIP_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def test_the_test_kit_works_where_the_wheel_is_installed(binaries: Path, tmp_path: Path) -> None:
    script = """
        import sys
        from voxcpm_openai.testing import conformance, mock_runner
        from voxcpm_openai.testing.plugins.tone_engine import CloningToneEngine
        assert conformance.__file__.startswith(sys.prefix)
        conformance.check_engine(CloningToneEngine())
        """
    command = [binaries / "python", "-c", textwrap.dedent(script)]
    subprocess.run(command, env=environ(), check=True, cwd=tmp_path)


def test_the_wheel_serves_and_speaks_in_an_empty_folder(binaries: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    port = free_port()
    with subprocess.Popen(
        [binaries / "voxcpm-openai", "serve"],
        cwd=empty,
        env={**environ(), "VOXCPM_PORT": str(port)},
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
            assert "engine embedded" in lines[-1], "".join(lines)
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
