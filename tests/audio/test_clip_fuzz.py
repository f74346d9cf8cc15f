"""Two thousand corrupt files: each is decoded or rejected, in bounded memory and time.

``python -m tests.audio.test_clip_fuzz`` prints how many were accepted and how many rejected.
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

from tests.support.recordings import FILES, recorded
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.intake import decode
from voxcpm_openai.voices.intake.clip import Clip, clean
from voxcpm_openai.voices.intake.quality import ClipRejected, normalize_clip

COUNT = 2000
CHECKED_BY_CLEAN = 40
"""How many more files go through ``clean``, in a process each."""

DEMUXERS = {
    **{"mp3": "mp3", "mp2": "mp3", "adts": "aac", "webm": "matroska"},
    **{"mp4": "mov", "ipod": "mov", "3gp": "mov"},
}
"""``decode``'s names of containers for which the encoder has other names."""

Corruption = Callable[[random.Random, bytes], bytes]


def truncated(dice: random.Random, content: bytes) -> bytes:
    return content[: dice.randrange(len(content))]


def bytes_changed(dice: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 8, 64, 1000))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def head_changed(dice: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 4, 32))):
        changed[dice.randrange(4, min(600, len(changed)))] = dice.randrange(256)
    return bytes(changed)


def absurd_numbers(dice: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 3))):
        at = dice.randrange(4, min(1000, len(changed) - 8))
        number = dice.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        changed[at : at + 4] = number
    return bytes(changed)


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


CORRUPTIONS: list[Corruption] = [
    *(truncated, bytes_changed, head_changed, absurd_numbers, part_missing, part_twice),
    *(noise_inside, noise_behind_the_head, another_type_inside, repeated, bomb_renamed),
]


def corrupt_file(number: int) -> tuple[str, str, bytes]:
    """Return the kind of corruption, the kind of file, and the file; the number is the seed."""
    dice = random.Random(number)
    kind = dice.choice(list(FILES))
    corrupt = CORRUPTIONS[number % len(CORRUPTIONS)]
    return corrupt.__name__, kind, corrupt(dice, recorded(kind))


def read(number: int) -> str:
    """Decode and check one file in this process, whatever its first bytes are."""
    _, kind, content = corrupt_file(number)
    return outcome_of(kind, content)


def outcome_of(kind: str, content: bytes) -> str:
    container = FILES[kind][0]
    try:
        audio = decode.decode(content, DEMUXERS.get(container, container))
        normalize_clip(np.frombuffer(audio.samples, np.float32), audio.rate, 1.0)
    except (decode.DecodeRejected, ClipRejected) as error:
        return type(error).__name__
    except MemoryError:  # ends the decoder process: a rejection
        return "MemoryError"
    return "Clip"


def read_all(first: int, end: int) -> None:
    """Read a range of files; print two lines of JSON for each."""
    for kind in FILES:  # encode the files and import all modules before the limits are set
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
    """Return the outcome of each file, and its seconds of CPU time.

    A crash of a codec is an outcome; the other files are then read in a new process.
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
        assert done.returncode <= 0, (corrupt_file(len(found))[:2], done.stderr)
        if done.returncode:
            found.append((f"signal {-done.returncode}", 0.0))
    return found


def test_two_thousand_corrupt_files_are_decoded_or_rejected() -> None:
    found = outcomes(COUNT)
    tally = Counter(outcome for outcome, _ in found)
    assert len(found) == COUNT
    assert tally["Clip"] > COUNT // 20  # some files are still usable
    assert tally["DecodeRejected"] > COUNT // 20
    assert max(seconds for _, seconds in found) < decode.CPU_SECONDS


@pytest.mark.parametrize("number", range(10_000, 10_000 + CHECKED_BY_CLEAN))
def test_a_corrupt_file_is_a_clip_or_a_400_and_leaves_no_file_behind(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    _, _, content = corrupt_file(number)
    try:
        outcome: object = clean(content)
    except InvalidRequest as error:
        outcome = error.param
    assert isinstance(outcome, Clip) or outcome == "audio_sample"
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    if sys.argv[1:]:
        read_all(*map(int, sys.argv[1:]))
    else:
        print(Counter(outcome for outcome, _ in outcomes(COUNT)))
