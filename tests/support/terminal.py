"""A command in a terminal of its own: a pseudo-terminal, and the screen that a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass

import pyte

LINES = 400
"""The height of the screen: nothing scrolls away."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a command: all that it wrote, and the lines of the screen at the end."""

    status: int
    raw: str
    lines: list[str]

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines)

    @property
    def coloured(self) -> bool:
        """Whether there were colours or other styles."""
        return bool(_COLOUR.search(self.raw))


def shown(*arguments: str, columns: int, **environ: str) -> Shown:
    """Run ``voxcpm-openai`` in a terminal of so many columns; ``environ``: further variables."""
    return answered(*arguments, answers="", columns=columns, **environ)


def answered(*arguments: str, answers: str, columns: int, **environ: str) -> Shown:
    """The same, and type ``answers``."""
    hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    clean = {name: value for name, value in os.environ.items() if name not in hidden}
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "voxcpm_openai", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**clean, "TERM": "xterm-256color", **environ},
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, answers.encode())
    written = b""
    with suppress(OSError):  # EIO: the other end is closed
        while data := os.read(master, 65536):
            written += data
    os.close(master)
    screen = pyte.Screen(columns, LINES)
    pyte.ByteStream(screen).feed(written)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return Shown(process.wait(timeout=60), written.decode(), lines)
