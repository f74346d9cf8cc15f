"""The results of trials that are kept for the next start."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from voxcpm_openai.runtime.device.execution_path import (
    SAFE,
    allowed_paths,
)
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.trial.trial_record import TrialRecord

TRITON = allowed_paths("auto", "auto")[2]
KEY = {"gpu": "NVIDIA H100", "torch": "2.13.0", "config": {}, "dtype": "bfloat16"}


def test_a_record_keeps_verdicts_by_all_that_they_depend_on(tmp_path: Path) -> None:
    verdicts = {SAFE: None, TRITON: "it hung"}
    TrialRecord(tmp_path, KEY).keep(verdicts)
    assert TrialRecord(tmp_path, KEY).verdicts == verdicts
    for name in KEY:
        assert TrialRecord(tmp_path, {**KEY, name: "other"}).verdicts == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"verdicts": {"torch": "no"}}'])
def test_a_file_that_is_no_record_is_forgotten(tmp_path: Path, content: str) -> None:
    TrialRecord(tmp_path, KEY).keep({SAFE: None})
    (file,) = tmp_path.glob("*.json")
    file.write_text(content, encoding="utf-8")
    assert TrialRecord(tmp_path, KEY).verdicts == {}


def test_without_a_folder_a_record_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = TrialRecord(tmp_path / "file", KEY)
    record.keep({SAFE: None})
    assert record.verdicts == {}


def test_a_path_on_which_the_device_was_lost_is_refused_from_then_on(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path, KEY)
    with pytest.raises(DeviceError), record.trying(TRITON):
        raise DeviceError("CUDA error: an illegal memory access was encountered")
    assert "illegal memory access" in TrialRecord(tmp_path, KEY).lost[TRITON]


def test_the_safe_path_is_never_refused(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path, KEY)
    with pytest.raises(DeviceError), record.trying(SAFE):
        raise DeviceError("CUDA error: uncorrectable ECC error")
    record.lose(SAFE, "the device was lost")
    assert record.lost == {}


@pytest.mark.parametrize(
    ("pid", "age", "ended"),
    [("own", 0, True), ("none", 0, True), ("parent", 0, False), ("parent", 61, True)],
)
def test_a_path_that_ended_a_process_is_refused(
    tmp_path: Path, pid: str, age: float, ended: bool
) -> None:
    """A mark of another process that is alive, such as another worker's, says nothing yet."""
    record = TrialRecord(tmp_path, KEY)
    with record.trying(TRITON):
        (file,) = tmp_path.glob("*.json")
        left = json.loads(file.read_text(encoding="utf-8"))
    assert record.lost == {}
    pids = {"own": os.getpid(), "none": 2**22 + 1, "parent": os.getppid()}
    left["trying"]["triton"] = [pids[pid], time.time() - age]
    file.write_text(json.dumps(left), encoding="utf-8")
    assert (TRITON in record.lost) is ended
