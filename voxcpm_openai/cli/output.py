"""Where commands write to: standard output, a file that is replaced, a pipe or a device."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click

STDIO = "-"
STANDARD_OUTPUT = "standard output"

TERMINAL = "is a terminal, and audio is binary: name a file, or pipe it into a program"


def checked(
    ctx: click.Context, param: click.Parameter, value: str | None, *, binary: bool = True
) -> str | None:
    """Return an option's value; an output that cannot be written is a usage error."""
    if value is not None:
        try:
            check(value, binary=binary)
        except click.ClickException as error:
            raise click.BadParameter(error.message, ctx, param) from error
    return value


class Output:
    """An open output.  ``whole``: it is a new file, in which one may seek until it is closed."""

    def __init__(self, name: str, file: IO[bytes], *, whole: bool) -> None:
        self.whole = whole
        self.name = name
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of the data, at once.  Raises ClickException."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except BrokenPipeError:
            if self.name == STANDARD_OUTPUT:
                raise  # the next program of the pipeline has ended: click exits without a message
            raise click.ClickException(
                f"{self.name} cannot be written: its reader has left"
            ) from None
        except OSError as error:
            raise _unwritable(self.name, error) from error
        return len(data)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()


def check(name: str, *, binary: bool = True) -> None:
    """Raise ClickException if the output cannot be written.  Its content does not change."""
    if name == STDIO or _is_standard_output(name):
        _standard_output(binary=binary)
        return
    kind = _kind(name)
    try:
        if kind is None or stat.S_ISREG(kind):
            _finished(*_begun(name), keep=False)
        elif not os.access(name, os.W_OK):
            raise PermissionError(0, "it is not writable")
        elif stat.S_ISCHR(kind):  # others are not opened: that would wait for the pipe's reader
            with _opened_device(name, binary=binary):
                pass
    except OSError as error:
        raise _unwritable(name, error) from error


def is_special(name: str) -> bool:
    """Return whether an output is written to directly, and is no file that is replaced."""
    if name == STDIO or _is_standard_output(name):
        return True
    kind = _kind(name)
    return not (kind is None or stat.S_ISREG(kind))


@contextmanager
def opened(name: str, *, binary: bool = True) -> Iterator[Output]:
    """Open an output for a ``with`` block: a path, or ``-`` for standard output.

    A regular file is replaced when the block ends, and keeps its mode; after an error the old one
    is left as it was.  Of a link, the file that it points to is replaced.  All else that exists,
    such as a pipe or a device, is written to directly.  Raises ClickException.
    """
    if name == STDIO or _is_standard_output(name):
        yield Output(STANDARD_OUTPUT, _standard_output(binary=binary), whole=False)
    elif not is_special(name):
        with _replaced(name) as file:
            yield Output(name, file, whole=True)
    else:
        try:
            file = _opened_device(name, binary=binary)
        except OSError as error:
            raise _unwritable(name, error) from error
        with file:
            yield Output(name, file, whole=False)


@contextmanager
def _replaced(name: str) -> Iterator[IO[bytes]]:
    try:
        target, partial = _begun(name)
        file = partial.open("wb", buffering=0)
    except OSError as error:
        raise _unwritable(name, error) from error
    try:
        with file:
            yield file
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(name, error) from error
    except BaseException:
        _finished(target, partial, keep=False)
        raise
    try:
        _finished(target, partial, keep=True)
    except OSError as error:
        raise _unwritable(name, error) from error


def _begun(name: str) -> tuple[Path, Path]:
    """Return the file to replace, links followed, and an empty new file beside it."""
    target = Path(os.path.realpath(name))
    old = target.stat() if target.exists() else None
    if old is not None:
        os.close(os.open(target, os.O_WRONLY))  # a file that must not be written is not replaced
    elif not target.parent.is_dir():
        raise NotADirectoryError(0, f"there is no folder {Path(name).parent}")
    partial = target.with_name(f".{secrets.token_hex(8)}.part")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    if old is not None:
        with suppress(OSError):  # only root may give a file away
            os.chown(partial, old.st_uid, old.st_gid)
        with suppress(OSError):  # not all file systems have modes
            partial.chmod(old.st_mode & 0o777)
    return target, partial


def _finished(target: Path, partial: Path, *, keep: bool) -> None:
    try:
        if keep:
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _kind(name: str) -> int | None:
    """Return the mode of what is there, links followed; None for nothing."""
    if not name:
        raise click.ClickException("the name of the file is empty")
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  (a Path loses the slash at the end)
    except FileNotFoundError:
        if not name.endswith("/"):
            return None
        raise click.ClickException(f"{name} is not a file's name") from None
    except OSError as error:
        raise _unwritable(name, error) from error
    if stat.S_ISDIR(mode):
        raise click.ClickException(f"{name} is a folder: name a file in it")
    if stat.S_ISSOCK(mode):
        raise click.ClickException(f"{name} is a socket, which cannot be written to like a file")
    return mode


def _opened_device(name: str, *, binary: bool) -> IO[bytes]:
    # Not created, not emptied, and a terminal does not become ours.
    descriptor = os.open(name, os.O_WRONLY | os.O_NOCTTY)
    if binary and os.isatty(descriptor):
        os.close(descriptor)
        raise click.ClickException(f"{name} {TERMINAL}")
    return os.fdopen(descriptor, "wb", buffering=0)


def _standard_output(*, binary: bool) -> IO[bytes]:
    if sys.stdout is None:
        raise click.ClickException(f"{STANDARD_OUTPUT} is closed")
    if binary and sys.stdout.isatty():
        raise click.ClickException(f"{STANDARD_OUTPUT} {TERMINAL}")
    sys.stdout.flush()
    # Without a buffer: what cannot be written must not be tried again when the process ends.
    return getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)


def _is_standard_output(name: str) -> bool:
    """Return whether a path, such as ``/dev/stdout``, leads to what standard output is."""
    try:
        return sys.stdout is not None and os.path.samestat(
            os.stat(name),  # noqa: PTH116
            os.fstat(sys.stdout.fileno()),
        )
    except (OSError, ValueError):
        return False


def abandon_standard_output() -> None:
    """Drop what is buffered for standard output, which would fail again when the process ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _unwritable(name: str, error: OSError) -> click.ClickException:
    return click.ClickException(f"{name} cannot be written: {error.strerror or error}")
