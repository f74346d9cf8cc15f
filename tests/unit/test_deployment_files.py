"""The files of deploy/ and the Dockerfile, checked by the tools that are installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.nginx import Nginx, temporary_paths
from tests.support.tools import run
from voxcpm_openai import __version__
from voxcpm_openai.settings import Settings

CHART = ROOT / "deploy/helm/voxcpm-openai"
COMPOSE = ROOT / "deploy/compose.yaml"
UNIT = ROOT / "deploy/voxcpm-openai.service"
KEYS = ("--set-string", "keys.toml=[keys.a]")
SHARED = ("--set", "persistence.accessMode=ReadWriteMany")
KEDA = ("--set", "autoscaling.kind=keda,autoscaling.prometheus=http://prometheus:9090")


def rendered(*options: str) -> subprocess.CompletedProcess[str]:
    return run("helm", "template", "test", CHART, *options)


def test_the_chart_and_the_changelog_are_of_this_version() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    assert f"\nversion: {__version__}\n" in chart
    assert f'\nappVersion: "{__version__}"\n' in chart
    versions = re.findall(r"(?m)^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text())
    assert versions[0] == __version__


@pytest.mark.parametrize(
    "path", [COMPOSE, UNIT, ROOT / "Dockerfile", *sorted((CHART / "templates").iterdir())]
)
def test_settings_that_are_set_exist(path: Path) -> None:
    known = {f"VOXCPM_{name.upper()}" for name in Settings.__dataclass_fields__}
    known |= {"VOXCPM_MODEL", "VOXCPM_OPENAI_PORT"}
    assert set(re.findall(r"VOXCPM_[A-Z_]*[A-Z]", path.read_text())) <= known


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (KEYS, {"Secret", "PersistentVolumeClaim", "PodDisruptionBudget"}),
        (("--set", "keys.allowOpen=true,persistence.enabled=false"), {"PodDisruptionBudget"}),
        (
            (*KEYS, *SHARED, *KEDA, "--set", "gpu.enabled=true,serviceMonitor.enabled=true"),
            {"Secret", "PersistentVolumeClaim", "PodDisruptionBudget", "ScaledObject"}
            | {"ServiceMonitor"},
        ),
        (
            ("--set", "keys.existingSecret=mine,autoscaling.kind=hpa", *SHARED),
            {"PersistentVolumeClaim", "PodDisruptionBudget", "HorizontalPodAutoscaler"},
        ),
    ],
    ids=["cpu", "open", "gpu", "hpa"],
)
def test_the_chart_renders_what_its_values_say(options: tuple[str, ...], kinds: set[str]) -> None:
    result = rendered(*options)
    assert result.returncode == 0, result.stderr
    assert set(re.findall(r"(?m)^kind: (\w+)", result.stdout)) == {"Deployment", "Service"} | kinds
    assert "readOnlyRootFilesystem: true" in result.stdout
    gpu = "gpu.enabled=true,serviceMonitor.enabled=true" in options
    assert ("nvidia.com/gpu: 1" in result.stdout) is gpu
    assert (f"voxcpm-openai:{__version__}-{'cuda' if gpu else 'cpu'}") in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "keys.allowOpen"),
        ((*KEYS, "--set", "replicas=2"), "ReadWriteMany"),
        ((*KEYS, *SHARED, "--set", "autoscaling.kind=keda"), "autoscaling.prometheus"),
        ((*KEYS, "--set", "setings.VOXCPM_STRICT=1"), "setings"),
        ((*KEYS, "--set-string", "settings.STRICT=1"), "STRICT"),
        ((*KEYS, "--set", "probes.startupSeconds=5"), "startupSeconds"),
    ],
)
def test_the_chart_refuses_values_that_cannot_work(options: tuple[str, ...], message: str) -> None:
    result = rendered(*options)
    assert result.returncode != 0
    assert message in result.stderr


def test_nginx_takes_the_configuration_that_compose_makes_of_ours(tmp_path: Path) -> None:
    script = re.search(r"(?s)>-\n( +sed .*?) +/etc/nginx/speech\.conf", COMPOSE.read_text())
    assert script is not None
    made = subprocess.run(
        ["sh", "-c", f"{' '.join(script[1].split(chr(10)))} {ROOT}/deploy/nginx.conf"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "server speech:7861 max_fails=0;" in made
    assert "7862" not in made
    assert "/var/log" not in made
    here = {
        "user nginx;": "",
        "server speech:7861": "server 127.0.0.1:7861",  # no such name here
        "/run/nginx.pid": f"{tmp_path}/nginx.pid",
        "/dev/stdout": f"{tmp_path}/speech.log",
        "http {\n": f"http {{\n{temporary_paths(tmp_path)}\n",
    }
    for old, new in here.items():
        assert made.count(old) == 1
        made = made.replace(old, new)
    nginx = Nginx(tmp_path, lambda port: made.replace("listen 80;", f"listen 127.0.0.1:{port};"))
    assert "test is successful" in nginx.check()


def test_variables_of_other_programs_are_passed_only_if_set() -> None:
    """The server treats an empty ``VOXCPM_*`` as unset; huggingface_hub fails on an empty URL."""
    assert re.findall(r"(?m)^ +(?!VOXCPM_)(\w+): \$\{\w+:?-\}", COMPOSE.read_text()) == []


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_reads_its_file(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", profile)
    result = run("docker-compose", "-f", COMPOSE, "config", "--services", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """And finds it well protected: 10 is the worst."""
    program = "/opt/voxcpm-openai/bin/voxcpm-openai"
    assert program in UNIT.read_text()
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(program, "/bin/true"))
    result = run("systemd-analyze", "verify", "--man=no", unit)
    assert (result.returncode, result.stderr) == (0, "")
    security = ("security", "--offline=true", "--threshold=25", "--no-pager")
    result = run("systemd-analyze", *security, unit)
    assert result.returncode == 0, result.stdout[-500:]
