"""Kills writers at random lines: ``python -m tests.support.killed_writer FOLDER UPLOADS``.

Each writer is a fork that kills itself before the n-th line that it runs, the standard library's
among them, for a random n.  After each, the folder is read as another process reads it.  Prints
how many were killed, how many left temporary files, and how many finished, as JSON.
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

from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.store.data_folder import Candidate, DataFolder
from voxcpm_openai.voices.store.records import TEMPORARY
from voxcpm_openai.voices.store.voices import VoiceStore

CLIP = bytes(range(256)) * 40

State = dict[str, tuple[str, bytes]]
Action = Callable[[VoiceStore, DataFolder], None]


def add(store: VoiceStore, data: DataFolder) -> None:
    store.add("new", CLIP, principal=OPERATOR)


def rename(store: VoiceStore, data: DataFolder) -> None:
    store.update(next(iter(data.voices.all())), OPERATOR, name="renamed")


def remove(store: VoiceStore, data: DataFolder) -> None:
    store.remove(next(iter(data.voices.all())), OPERATOR)


def keep(store: VoiceStore, data: DataFolder) -> None:
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
    store.keep("cand_1", OPERATOR)


def lines_of(action: Action, root: Path, kill_before: int | None) -> int:
    """Run the action in a fork; return how many lines it ran, or 0 if it was killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(_traced(action, root, kill_before)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
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

    data = DataFolder(root)
    store = VoiceStore(data, Settings())
    sys.settrace(trace)
    try:
        action(store, data)
    finally:
        sys.settrace(None)
    return lines


def read(root: Path) -> State:
    """Read the voices as another process does; every one must be complete."""
    data = DataFolder(root)
    found = {
        v.id: (v.name, data.voices.content(v.id).read_bytes()) for v in data.voices.all().values()
    }
    folders = [p for p in (root / "voices").iterdir() if not p.name.startswith(".")]
    assert len(found) == len(folders), "a voice that cannot be read"
    assert all(clip == CLIP for _, clip in found.values()), "half a clip"
    return found


def main(root: Path, uploads: int) -> dict[str, int]:
    os.fsync = lambda _: None  # a killed process loses nothing that it wrote; fsync is slow
    rng = random.Random(4)
    store = VoiceStore(DataFolder(root), Settings())
    for _ in range(2):
        add(store, DataFolder(root))
    others = [rename, keep, remove]
    lengths = {}
    for action in (add, *others):
        lengths[action] = lines_of(action, root, None)
        _refill(store)
    result = {"killed": 0, "leftovers": 0, "done": 0}
    for number in range(uploads):
        for action in [add, others[number % 3]] if number % 2 else [add]:
            before = read(root)
            length = lengths[action]
            # Most of them in the second half, where records are renamed.
            first = rng.choice([1, length // 2, length // 2])
            lines = lines_of(action, root, rng.randrange(first, length + length // 10))
            after = read(root)
            changed = set(before.items()) ^ set(after.items())
            assert len(changed) <= (2 if action is rename else 1), changed
            result["killed"] += lines == 0
            result["done"] += bool(changed)
            result["leftovers"] += any(root.rglob(f"{TEMPORARY}*"))
            _refill(store)
    with DataFolder(root).writing():
        pass
    assert not list(root.rglob(f"{TEMPORARY}*")), "a dead writer's leftovers are still there"
    return result


def _refill(store: VoiceStore) -> None:
    """Restore two voices, so that every run of a writer has the same number of lines."""
    voices = store.voices()
    for voice in voices[2:]:
        store.remove(voice.id, OPERATOR)
    for _ in range(2 - len(voices)):
        store.add("again", CLIP, principal=OPERATOR)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
