"""The cores that a process may use: affinity, and the quotas of its groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxcpm_openai import cores

V2 = "0::/user.slice/app\n"
V1 = "9:name=systemd:/\n4:cpu,cpuacct:/docker/abc\n1:cpuset:/\n"
GROUP, UNIFIED = "sys/fs/cgroup", "sys/fs/cgroup/unified"
BOTH = f"{GROUP}/cpu,cpuacct"


def v1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1, 9)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8),
        (V2, {}, 8),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "max 100000\n"}, 8),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "200000 100000\n"}, 2),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "250000 100000\n"}, 2),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "50000 100000\n"}, 1),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "6400000 100000\n"}, 8),
        (V2, {f"{GROUP}/user.slice/cpu.max": "300000 100000\n"}, 3),
        (V2, {f"{UNIFIED}/user.slice/app/cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {f"{GROUP}/cpu.max": "400000 100000\n"}, 4),
        ("0::/../..\n", {f"{GROUP}/cpu.max": "400000 100000\n"}, 4),
        ("0::/of/the/host\n", {f"{GROUP}/cpu.max": "400000 100000\n"}, 4),
        (V1, v1(f"{BOTH}/docker/abc", 150_000), 1),
        (V1, v1(f"{GROUP}/cpu/docker/abc", 350_000), 3),
        (V1, v1(BOTH, 350_000), 3),
        (V1, v1(f"{BOTH}/docker/abc", -1), 8),
        (V1, {f"{BOTH}/docker/abc/cpu.cfs_quota_us": "100000\n"}, 8),
        ("nonsense\n", {f"{GROUP}/cpu.max": "100000 100000\n"}, 8),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "nonsense"}, 8),
        (V2, {f"{GROUP}/user.slice/app/cpu.max": "1 0"}, 8),
    ],
)
def test_the_smaller_of_affinity_and_quota_is_available(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    root = write(tmp_path, {"proc/self/cgroup": groups, **files})
    assert cores.available(root) == expected


def test_without_proc_the_affinity_is_used(tmp_path: Path) -> None:
    assert cores.available(tmp_path) == 8


def test_without_affinity_the_cores_of_the_machine_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores.available(tmp_path) == 64


STAT = """cpu  900 0 0 0 0 0 0 0 0 0
cpu0 500 500 500 500 500 500 500 0 0 0
cpu1 100 10 20 4000 300 5 15 7 0 0
cpu8 50 0 0 4000 0 0 0 0 0 0
cpu9 500 0 0 0 0 0 0 0 0 0
intr 1 2 3
"""


def test_busy_time_is_that_of_the_cores_in_the_affinity_mask(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/stat": STAT})
    assert cores.busy_seconds(root) == (100 + 10 + 20 + 5 + 15 + 50) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("stat", [None, "", "cpu  1 2 3\n", "cpu1 a b c d e f g\n", "cpu1 1\n"])
def test_busy_time_is_none_where_it_cannot_be_read(tmp_path: Path, stat: str | None) -> None:
    root = write(tmp_path, {} if stat is None else {"proc/stat": stat})
    assert cores.busy_seconds(root) is None
