"""Torch work outside the engine's thread leaves no pool threads that would slow the steps."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support import ROOT
from tests.support.benchmarks import on_linux
from tests.support.runtime.utterances import CLONED
from voxcpm_openai.runtime.device.voice_cache import VoiceCache
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.threads import run_in_fresh_thread

COUNT = """
import os
import time
import torch
from voxcpm_openai.runtime.threads import run_in_fresh_thread

def work():
    torch.randn(1024, 1024).exp().sum()

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
before = threads()
run_in_fresh_thread(work)
deadline = time.monotonic() + 20
while threads() > before and time.monotonic() < deadline:
    time.sleep(0.01)  # pool threads end a little later than their owner
after = threads()
work()
print(after - before, threads() - before)
"""


@on_linux
def test_pool_threads_end_with_their_owner() -> None:
    output = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["0", "2"], "the second: what work in a lasting thread leaves"


def test_the_thread_is_a_daemon() -> None:
    assert run_in_fresh_thread(lambda: threading.current_thread().daemon)


def test_an_exception_is_raised_in_the_caller() -> None:
    def fail() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        run_in_fresh_thread(fail)


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_a_clip_is_encoded_in_a_thread_that_ends(
    kind: str, model: Callable[[str], VoxCPM], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model(kind)
    threads: list[threading.Thread] = []

    def spy(name: str) -> None:
        method = getattr(ours, name)

        def call(*arguments: object, **options: object) -> object:
            threads.append(threading.current_thread())
            return method(*arguments, **options)

        monkeypatch.setattr(ours, name, call)

    spy("encode")
    spy("prefix" if kind == "voxcpm2" else "prompt")
    assert CLONED.audio is not None
    VoiceCache(ours, kind).get(CLONED.audio)
    assert len(threads) == 2
    assert not any(thread.is_alive() for thread in threads)
