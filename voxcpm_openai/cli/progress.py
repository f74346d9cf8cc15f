"""The progress of a speech, on a terminal: seconds of audio, real-time factor, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from voxcpm_openai.cli.display import NARROW, console, is_terminal
from voxcpm_openai.cli.narration import OnProgress


class Stopwatch:
    """What was made since it was started: ``seconds`` of audio, in ``elapsed`` seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    @property
    def rtf(self) -> float:
        """The real-time factor: below 1 is faster than the audio is played."""
        return self.elapsed / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        shown = f"{clock(self.seconds)} of audio in {clock(self.elapsed)}"
        return f"{shown}, RTF {self.rtf:.2f}" if self.seconds else shown


@contextmanager
def progress(stopwatch: Stopwatch) -> Iterator[OnProgress]:
    """Yield what shows the progress on standard error, if that is a terminal."""
    if not is_terminal(sys.stderr):

        def count(_share: float, seconds: float) -> None:
            stopwatch.seconds = seconds

        yield count
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(sys.stderr)
    wide = screen.width >= NARROW
    columns = [TextColumn("speaking"), BarColumn(bar_width=20)] if wide else []
    columns += [TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[audio]}")]
    columns += [TimeRemainingColumn(compact=True)] if wide else []
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=1.0, audio="")

        def show(share: float, seconds: float) -> None:
            stopwatch.seconds = seconds
            audio = f"{clock(seconds)} of audio, RTF {stopwatch.rtf:.2f}"
            bar.update(task, completed=share, audio=audio)

        yield show


def summarize(name: str, stopwatch: Stopwatch) -> None:
    """Print what was made, on a terminal."""
    if is_terminal(sys.stderr):
        click.echo(f"{name}: {stopwatch}", err=True)


def clock(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds; short ones with a decimal: ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
