"""The voxcpm engine leaves no memory behind when it is unloaded."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Segment, Utterance, Voice
from voxcpm_openai.runtime.threads import LastingThread
from voxcpm_openai.settings import load_settings
from voxcpm_openai.testing.tiny_checkpoints import KINDS

HELLO = Utterance((Segment("Hello."),), Voice("", ""), seed=1)


def tensors() -> int:
    """Return the bytes of all tensors that live."""
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return sum(one.numel() * one.element_size() for one in found)


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_it_is_freed_and_it_says_the_same_when_it_is_loaded_again(
    kind: str,
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = checkpoint(kind)
    settings = load_settings(
        {
            "VOXCPM_ENGINE": "voxcpm",
            "VOXCPM_MODEL": str(folder),
            "VOXCPM_DTYPE": "float32",
            "VOXCPM_THREADS": "1",
            "VOXCPM_IDLE_UNLOAD": "1000",
        }
    )
    before = tensors()
    life = AppContext.open(settings).engine
    life.start()
    handle = life.wait(60)
    assert str(folder.resolve()) in handle.version
    said = []
    for _ in range(2):
        with closing(handle.synthesize(HELLO)) as stream:
            said.append(torch.cat([torch.from_numpy(chunk.samples) for chunk in stream]))
        engine: Any = life.acquire()
        life.release()
        model = weakref.ref(engine._runner._model)
        del engine
        assert tensors() > before + 100_000
        assert life.unload()
        gc.collect()
        assert model() is None
        kept = sum(4 * len(one) for one in said) + 10_000  # and a constant of the process
        assert tensors() <= before + kept
    life.stop()
    assert torch.equal(*said)


def test_a_lasting_thread_ends_with_its_object() -> None:
    lasting = LastingThread("lasting")
    thread: threading.Thread = lasting.run(threading.current_thread)
    del lasting
    thread.join(20)
    assert not thread.is_alive()
