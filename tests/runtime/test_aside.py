"""Torch's work outside the engine's thread leaves no thread behind that would slow the steps."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runtime.test_runner import CLIP
from voxcpm_openai.runtime.aside import aside
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.prompts import Prompts

ROOT = Path(__file__).parents[2]
COUNT = """
import os
import time
import torch
from voxcpm_openai.runtime.aside import aside

def work():
    torch.randn(1024, 1024).exp().sum()

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
before = threads()
aside(work)
deadline = time.monotonic() + 20
while threads() > before and time.monotonic() < deadline:
    time.sleep(0.01)  # they end a little later than the one that they worked for
between = threads()
work()
print(between - before, threads() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux has")
def test_a_team_of_threads_ends_with_the_one_that_it_worked_for() -> None:
    told = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["0", "2"], "the second is what would be left behind"


def test_a_process_that_ends_does_not_wait_for_it() -> None:
    assert aside(lambda: threading.current_thread().daemon)


def test_what_goes_wrong_aside_is_raised_here() -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        aside(wrong)


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_a_clip_is_encoded_and_heard_aside(
    kind: str, model: Callable[[str], VoxCPM], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    seen: list[threading.Thread] = []

    def noted(name: str) -> None:
        known = getattr(ours, name)

        def call(*arguments: object, **options: object) -> object:
            seen.append(threading.current_thread())
            return known(*arguments, **options)

        monkeypatch.setattr(ours, name, call)

    noted("encode")
    noted("prefix" if kind == "voxcpm2" else "prompt")
    assert CLIP.audio is not None
    Prompts(ours, kind).get(CLIP.audio)
    assert len(seen) == 2
    assert not any(thread.is_alive() for thread in seen)
