"""Things that are put in the place of a file, for tests: links, pipes, and files of other kinds."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from tests.support.uploads import RECORDING

Put = Callable[[Path], None]


def link(path: Path) -> None:
    secret = path.parents[1] / f"secret{path.suffix}"
    secret.write_bytes(RECORDING)
    path.symlink_to(secret)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


NOT_FILES = [link, link_to_device, loop, pipe, unix_socket, Path.mkdir, huge]


def text(path: Path) -> None:
    path.write_text("root:x:0:0:root:/root:/bin/sh\n")


def nothing(path: Path) -> None:
    path.touch()


def silence_of_hours(path: Path) -> None:
    """Write a FLAC file whose header announces more samples than any memory has."""
    content = bytearray(RECORDING)
    content[21] |= 0x0F  # the upper four of the 36 bits of the number of samples
    path.write_bytes(content)


def no_samples(path: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(0, np.float32), 24_000, format="FLAC")
    path.write_bytes(file.getvalue())


NOT_AUDIO = [*NOT_FILES, text, nothing, silence_of_hours, no_samples]
