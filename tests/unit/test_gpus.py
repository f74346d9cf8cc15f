"""Which GPUs a process may use, by its environment, nvidia-smi, /proc and /dev."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_gpus import hide_gpus, list_gpus
from voxcpm_openai import gpus
from voxcpm_openai.errors import StartError

FIRST, SECOND = (f"GPU-{digit * 8}-1111-2222-3333-444444444444" for digit in "ab")
MIG, OTHER_MIG = (f"MIG-{digit * 8}-1111-2222-3333-444444444444" for digit in "cd")
OLD_MIG = f"MIG-{FIRST}/7/0"

CUDA, HIP, CONTAINER = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"
FOUR = ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("environ", "there", "visible"),
    [
        ({}, FOUR, FOUR),
        ({}, None, None),
        ({CUDA: "2,0"}, FOUR, ("2", "0")),
        ({CUDA: " 2, 0 "}, FOUR, ("2", "0")),
        ({CUDA: "2,0"}, None, ("2", "0")),
        ({CUDA: "0,4,1"}, FOUR, ("0",)),
        ({CUDA: "0,-1,1"}, FOUR, ("0",)),
        ({CUDA: "-1"}, FOUR, ()),
        ({CUDA: ""}, FOUR, ()),
        ({CUDA: "NoDevFiles"}, FOUR, ()),
        ({CUDA: "none"}, FOUR, ()),
        ({CUDA: "1,1"}, FOUR, ()),
        ({CUDA: "all"}, FOUR, FOUR),
        ({CUDA: "all"}, None, None),
        ({CUDA: f"{FIRST},{SECOND}"}, FOUR, (FIRST, SECOND)),
        ({CUDA: "GPU-ab,1"}, FOUR, ("GPU-ab", "1")),
        ({CUDA: f"{MIG},{OLD_MIG}"}, FOUR, (MIG, OLD_MIG)),
        ({HIP: "1,3"}, None, ("1", "3")),
        ({HIP: "-1"}, None, ()),
        ({CUDA: "0", HIP: "0"}, FOUR, ("0",)),
        ({CUDA: "0,1", CONTAINER: "3"}, FOUR, ("0", "1")),
        ({CONTAINER: "all"}, FOUR, FOUR),
        ({CONTAINER: "void"}, FOUR, FOUR),
        ({CONTAINER: ""}, FOUR, FOUR),
        ({CONTAINER: "all"}, None, None),
        ({CONTAINER: "none"}, FOUR, ()),
        ({CONTAINER: "2,3"}, ("0", "1"), ("0", "1")),
        ({CONTAINER: "2,3"}, FOUR, ("2", "3")),
        ({CONTAINER: f"{FIRST},{SECOND}"}, None, ("0", "1")),
    ],
)
def test_the_environment_restricts_the_gpus(
    environ: dict[str, str], there: tuple[str, ...] | None, visible: tuple[str, ...] | None
) -> None:
    assert gpus.visible(environ, lambda: there) == visible


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (f"GPU 0: NVIDIA H100 (UUID: {FIRST})\nGPU 1: NVIDIA H100 (UUID: {SECOND})\n", ("0", "1")),
        ("", None),
        ("No devices found.\n", None),
        (
            "Unable to determine the device handle for gpu 0000:01:00.0: Unknown Error\n"
            f"GPU 1: NVIDIA H100 (UUID: {SECOND})\n",
            ("0",),
        ),
        (
            f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {FIRST})\n"
            f"  MIG 3g.20gb     Device  0: (UUID: {MIG})\n"
            f"  MIG 1g.5gb      Device  1: (UUID: {OTHER_MIG})\n"
            f"GPU 1: NVIDIA A100-SXM4-40GB (UUID: {SECOND})\n",
            (MIG, OTHER_MIG, SECOND),
        ),
        (
            f"GPU 0: A100-SXM4-40GB (UUID: {FIRST})\n  MIG 7g.40gb Device 0: (UUID: {OLD_MIG})\n",
            (OLD_MIG,),
        ),
    ],
)
def test_nvidia_smi_lists_gpus_and_what_they_are_divided_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, found: tuple[str, ...] | None
) -> None:
    hide_gpus(monkeypatch, tmp_path)
    list_gpus(monkeypatch, tmp_path, listed)
    assert gpus.machine_gpus() == found


@pytest.mark.parametrize("status", [0, 9])
def test_without_an_answer_of_nvidia_smi_the_driver_or_its_devices_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    hide_gpus(monkeypatch, tmp_path)
    assert gpus.machine_gpus() is None
    for name in ("nvidia0", "nvidia1", "nvidia11", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    assert gpus.machine_gpus() == ("0", "1", "2")
    for name in ("0000:3b:00.0", "0000:af:00.0"):
        (tmp_path / "proc" / name).mkdir(parents=True)
    assert gpus.machine_gpus() == ("0", "1")
    list_gpus(monkeypatch, tmp_path, "NVIDIA-SMI has failed.\n", status)
    assert gpus.machine_gpus() == ("0", "1")


def test_an_nvidia_smi_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_gpus(monkeypatch, tmp_path)

    def hang(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert gpus.machine_gpus() is None


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({}, {CUDA: "1"}),
        ({CUDA: "0,1"}, {CUDA: "1"}),
        ({HIP: "0,1"}, {HIP: "1"}),
        ({CUDA: "0,1", HIP: "0,1"}, {CUDA: "1", HIP: "1"}),
    ],
)
def test_a_gpu_is_given_by_the_variable_that_restricts_them_already(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], given: dict[str, str]
) -> None:
    monkeypatch.setattr(gpus._Process, "gpu", None)
    gpus.give("1", environ)
    assert environ == given
    assert gpus.own() == "1"


@pytest.mark.parametrize(
    ("device", "variable", "named"),
    [
        ("cuda:1", "5,7", "7"),
        ("cuda:0", f"{FIRST}", FIRST),
        ("cuda:1", None, "1"),
        ("cuda", "5,7", None),
        ("auto", "5,7", None),
        ("cpu", "5,7", None),
        ("xpu:1", "5,7", None),
    ],
)
def test_a_device_with_a_number_is_counted_among_the_visible_gpus(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    variable: str | None,
    named: str | None,
) -> None:
    hide_gpus(monkeypatch, tmp_path)
    if variable is not None:
        monkeypatch.setenv(CUDA, variable)
    assert gpus.named_gpu(device) == named


def test_a_device_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_gpus(monkeypatch, tmp_path)
    monkeypatch.setenv(CUDA, "5,7")
    with pytest.raises(StartError, match=r"to run on cuda:2; .* are 5, 7, counted from cuda:0"):
        gpus.named_gpu("cuda:2")
    monkeypatch.setenv(CUDA, "-1")
    with pytest.raises(StartError, match=r"that can be used are none"):
        gpus.named_gpu("cuda:0")


def test_counting_gpus_imports_no_torch() -> None:
    code = "import sys, voxcpm_openai.gpus as g; g.visible(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
