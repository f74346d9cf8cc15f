"""Reading files that are not trusted to be what their names say, and replacing files at once.

A folder of voices or the data folder may be shared with others.  A link in it could name any file
that the server can read, and opening a named pipe would wait for ever.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class FileRefused(OSError):
    """A file is not what it should be.  The message names it and says what to do: for the log."""


def read_file(path: Path, limit: int, *, folder: Path | None = None) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    With a ``folder``, the file must be in it after all links are followed.  Anything but a regular
    file is never opened.  Raises FileRefused, and OSError if the file cannot be read.
    """
    if folder is None:
        return _read(path, path, limit)
    # The path has been resolved: a link there now was put there in the meantime.
    return _read(path, _contained(path, folder), limit, os.O_NOFOLLOW)


def read_plain_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file as ``read_file`` does, but follow no link to it."""
    require_regular(path, path.lstat())
    return _read(path, path, limit, os.O_NOFOLLOW)


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path is outside of a folder after all links are followed."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _contained(path: Path, folder: Path) -> Path:
    """Return a path without links.  Raises FileRefused if it leads out of the folder."""
    target = Path(os.path.realpath(path, strict=True))
    if leads_out(target, folder):
        raise FileRefused(
            f"{path} is a link to a file outside of {folder}. Put the file itself there."
        )
    return target


def _read(path: Path, target: Path, limit: int, flags: int = 0) -> bytes:
    """Read ``target``; errors name ``path``."""
    require_regular(path, target.stat())
    flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(target, flags)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        require_regular(path, status)
        content = b"" if status.st_size > limit else file.read(limit + 1)
    if max(status.st_size, len(content)) > limit:
        raise FileRefused(f"{path} has more than {limit} bytes. Put a smaller file there.")
    return content


def require_regular(path: Path, status: os.stat_result) -> None:
    """Raise FileRefused unless the status of ``path`` is that of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise FileRefused(f"{path} is {kind}, not a file. Put a file there, or delete it.")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield where to write the new content of ``path``, beside it, and then put it in its place.

    Who reads ``path`` finds the old content or the new, never a part.  Writers at the same time do
    not meet, whatever shares the folder: containers may have equal process ids.  If the block
    raises, ``path`` stays as it is, and what was written is deleted.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
