"""Writers that are killed: ``python -m tests.killed FOLDER UPLOADS`` prints what became of it.

Each writer is a fork that kills itself before the n-th line that it runs, the standard library's
among them, for an n drawn at random; after each, the folder is read as another process reads it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.data import Candidate, Data
from voxcpm_openai.voices.records import ASIDE
from voxcpm_openai.voices.store import Store

CLIP = bytes(range(256)) * 40

State = dict[str, tuple[str, bytes]]
Action = Callable[[Store, Data], None]


def add(store: Store, data: Data) -> None:
    store.add("new", CLIP, owner=None)


def rename(store: Store, data: Data) -> None:
    store.update(next(iter(data.voices.all())), None, name="renamed")


def remove(store: Store, data: Data) -> None:
    store.remove(next(iter(data.voices.all())), None)


def keep(store: Store, data: Data) -> None:
    with data.writing():
        candidate = Candidate(
            id="cand_1",
            name="kept",
            created_at=2**40,
            seed=1,
            description="",
            language="",
            transcript="",
            provenance="",
        )
        if candidate.id not in data.candidates.all():
            data.candidates.put(candidate, CLIP)
    store.keep("cand_1", None)


def lines_of(action: Action, root: Path, kill_before: int | None) -> int:
    """Do it in a fork; return how many lines it ran, or 0 if it was killed before the n-th."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(_traced(action, root, kill_before)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    _, status = os.waitpid(pid, 0)
    assert text or os.WIFSIGNALED(status), "the writer failed"
    return int(text or 0)


def _traced(action: Action, root: Path, kill_before: int | None) -> int:
    lines = 0

    def trace(frame: FrameType, event: str, arg: object) -> object:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    data = Data(root)
    store = Store(data, Settings())
    sys.settrace(trace)
    try:
        action(store, data)
    finally:
        sys.settrace(None)
    return lines


def read(root: Path) -> State:
    """Read the voices as another process does; whatever lies there must be whole."""
    data = Data(root)
    found = {
        v.id: (v.name, data.voices.sound(v.id).read_bytes()) for v in data.voices.all().values()
    }
    there = [p for p in (root / "voices").iterdir() if not p.name.startswith(".")]
    assert len(found) == len(there), "a voice that cannot be read"
    assert all(clip == CLIP for _, clip in found.values()), "half a clip"
    return found


def main(root: Path, uploads: int) -> dict[str, int]:
    os.fsync = lambda _: None  # a killed process loses nothing that it wrote; fsync is slow
    rng = random.Random(4)
    store = Store(Data(root), Settings())
    for _ in range(2):
        add(store, Data(root))
    others = [rename, keep, remove]
    lengths = {}
    for action in (add, *others):
        lengths[action] = lines_of(action, root, None)
        _refill(store)
    result = {"killed": 0, "left aside": 0, "done": 0}
    for number in range(uploads):
        for action in [add, others[number % 3]] if number % 2 else [add]:
            before = read(root)
            length = lengths[action]
            # Most of them in the second half, where it counts.
            first = rng.choice([1, length // 2, length // 2])
            lines = lines_of(action, root, rng.randrange(first, length + length // 10))
            after = read(root)
            changed = set(before.items()) ^ set(after.items())
            assert len(changed) <= (2 if action is rename else 1), changed
            result["killed"] += lines == 0
            result["done"] += bool(changed)
            result["left aside"] += any(root.rglob(f"{ASIDE}*"))
            _refill(store)
    with Data(root).writing():
        pass
    assert not list(root.rglob(f"{ASIDE}*")), "a dead writer's leftovers are still there"
    return result


def _refill(store: Store) -> None:
    """Bring the store back to two voices, so that all writers run as many lines."""
    voices = store.voices()
    for voice in voices[2:]:
        store.remove(voice.id, None)
    for _ in range(2 - len(voices)):
        store.add("again", CLIP, owner=None)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
