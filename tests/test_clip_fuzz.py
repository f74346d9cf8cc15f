"""Two thousand spoilt files: each gives a clip or is refused, in bounded memory and time.

``python -m tests.test_clip_fuzz`` prints how many were accepted, and how many refused.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.recordings import FILES, recorded
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices import decode
from voxcpm_openai.voices.clip import Clip, clean
from voxcpm_openai.voices.fitness import Unfit, fit

COUNT = 2000
CHECKED_WHOLE = 40
"""Of these files the whole way is gone, a process each."""

DEMUXERS = {
    **{"mp3": "mp3", "mp2": "mp3", "adts": "aac", "webm": "matroska"},
    **{"mp4": "mov", "ipod": "mov", "3gp": "mov"},
}
"""``decode``'s names of containers that the encoder calls otherwise."""

Deed = Callable[[random.Random, bytes], bytes]


def cut_short(dice: random.Random, content: bytes) -> bytes:
    return content[: dice.randrange(len(content))]


def bytes_changed(dice: random.Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(dice.choice((1, 8, 64, 1000))):
        spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
    return bytes(spoilt)


def head_changed(dice: random.Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(dice.choice((1, 4, 32))):
        spoilt[dice.randrange(4, min(600, len(spoilt)))] = dice.randrange(256)
    return bytes(spoilt)


def absurd_numbers(dice: random.Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(dice.choice((1, 3))):
        at = dice.randrange(4, min(1000, len(spoilt) - 8))
        number = dice.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        spoilt[at : at + 4] = number
    return bytes(spoilt)


def part_missing(dice: random.Random, content: bytes) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + content[at + dice.randrange(1, 5000) :]


def part_twice(dice: random.Random, content: bytes) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + content[at // 2 :]


def noise_inside(dice: random.Random, content: bytes) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + dice.randbytes(dice.randrange(1, 20_000)) + content[at:]


def noise_behind_the_head(dice: random.Random, content: bytes) -> bytes:
    return content[: dice.choice((4, 12, 48, 200))] + dice.randbytes(20_000)


def another_type_inside(dice: random.Random, content: bytes) -> bytes:
    other = recorded(dice.choice(list(FILES)))
    at = dice.choice((4, 12, 48, 200, len(content) // 2))
    return content[:at] + other[dice.randrange(64) :]


def repeated(dice: random.Random, content: bytes) -> bytes:
    return content * dice.choice((2, 30))


def bomb_renamed(dice: random.Random, content: bytes) -> bytes:
    zeros = bytes(dice.choice((10_000_000, 1_000_000)))
    if dice.random() < 0.5:
        return content[: dice.choice((0, 4, 48))] + gzip.compress(zeros)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("voice.wav", zeros)
    return content[: dice.choice((0, 4, 48))] + file.getvalue()


DEEDS: list[Deed] = [
    *(cut_short, bytes_changed, head_changed, absurd_numbers, part_missing, part_twice),
    *(noise_inside, noise_behind_the_head, another_type_inside, repeated, bomb_renamed),
]


def spoilt_file(number: int) -> tuple[str, str, bytes]:
    """Return what was done to which kind of file, and the file; the same for a number always."""
    dice = random.Random(number)
    kind = dice.choice(list(FILES))
    deed = DEEDS[number % len(DEEDS)]
    return deed.__name__, kind, deed(dice, recorded(kind))


def read(number: int) -> str:
    """Decode and check one file as ``clean`` does, in this process, whatever its first bytes."""
    _, kind, content = spoilt_file(number)
    return outcome_of(kind, content)


def outcome_of(kind: str, content: bytes) -> str:
    container = FILES[kind][0]
    try:
        sound = decode.decode(content, DEMUXERS.get(container, container))
        fit(np.frombuffer(sound.samples, np.float32), sound.rate, 1.0)
    except (decode.Refused, Unfit) as refused:
        return type(refused).__name__
    except MemoryError:  # ends the decoder, which is told as a refusal
        return "MemoryError"
    return "Clip"


def read_all(first: int, end: int) -> None:
    """Read the files from one number up to another; print a line of JSON for each."""
    for kind in FILES:  # made, and all modules loaded, before the limits
        assert outcome_of(kind, recorded(kind)) == "Clip"
    resource.setrlimit(resource.RLIMIT_AS, (2 * decode.MEMORY, 2 * decode.MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for number in range(first, end):
        print(json.dumps({"begun": number}), flush=True)
        start = time.process_time()
        outcome = read(number)
        seconds = time.process_time() - start
        print(json.dumps({"outcome": outcome, "seconds": seconds}), flush=True)


def outcomes(count: int) -> list[tuple[str, float]]:
    """Return what became of each file, and the seconds of CPU that it took.

    A codec that crashes is one of the outcomes; the rest of the files are read in a new process.
    """
    found: list[tuple[str, float]] = []
    while len(found) < count:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, str(len(found)), str(count)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found += [(line["outcome"], line["seconds"]) for line in lines if "outcome" in line]
        assert done.returncode <= 0, (spoilt_file(len(found))[:2], done.stderr)
        if done.returncode:
            found.append((f"signal {-done.returncode}", 0.0))
    return found


def test_two_thousand_spoilt_files_give_a_clip_or_are_refused() -> None:
    found = outcomes(COUNT)
    tally = Counter(outcome for outcome, _ in found)
    assert len(found) == COUNT
    assert tally["Clip"] > COUNT // 20  # the files are not so spoilt that nothing is tried
    assert tally["Refused"] > COUNT // 20
    assert max(seconds for _, seconds in found) < decode.CPU_SECONDS


@pytest.mark.parametrize("number", range(10_000, 10_000 + CHECKED_WHOLE))
def test_a_spoilt_file_is_a_clip_or_a_400_and_leaves_nothing_behind(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    _, _, content = spoilt_file(number)
    try:
        outcome: object = clean(content)
    except InvalidRequest as refused:
        outcome = refused.param
    assert isinstance(outcome, Clip) or outcome == "audio_sample"
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    if sys.argv[1:]:
        read_all(*map(int, sys.argv[1:]))
    else:
        print(Counter(outcome for outcome, _ in outcomes(COUNT)))
