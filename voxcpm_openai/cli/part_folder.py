"""The folder of the parts of a long speech, so that it survives an interruption.

``book.mp3.parts`` lies beside ``book.mp3`` while that is made.  It has the samples of each finished
part in a file of its own, and ``state.json`` with what they were made of.  A part's file is written
under another name, flushed to the disk and renamed; its name has the hash of its content.  So after
a killed process, a full disk or a power cut a part is there as a whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import click

SUFFIX = ".parts"
STATE, LOCK = "state.json", "lock"
UNFINISHED = ".tmp"
BLOCK = 65536
"""Bytes that are read at a time."""
_PART = re.compile(r"(\d{6})-([0-9a-f]{16})\.pcm")
_OURS = re.compile(rf"{_PART.pattern}|{STATE}|{LOCK}|[^/]*\{UNFINISHED}")


class PartFolder:
    """The finished parts of one speech.  Use ``opened``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seed: int | None = None
        self.changed: tuple[str, ...] = ()
        self._parts: dict[int, Path] = {}

    @classmethod
    @contextmanager
    def opened(
        cls, output: str, facts: Mapping[str, str], seed: int | None
    ) -> Iterator[PartFolder]:
        """Open the folder beside an output for a ``with`` block, and lock it.

        If it has parts that were made of other ``facts``, they are deleted, and ``changed`` names
        the facts that differ.  Else ``seed`` becomes the one that the parts were made with.  Raises
        ClickException if it cannot be used, and while another process uses it.
        """
        target = os.path.realpath(output)
        folder = cls(Path(f"{target}{SUFFIX}"))
        with folder._locked():
            with folder._errors():
                folder._open(dict(facts), seed)
            try:
                yield folder
            finally:
                if not folder.done:
                    folder.remove()

    @property
    def done(self) -> int:
        """The number of finished parts."""
        return len(self._parts)

    @property
    def silent(self) -> bool:
        """Whether no part has a sample: nothing of the text could be spoken."""
        return not any(path.stat().st_size for path in self._parts.values())

    def __contains__(self, index: int) -> bool:
        return index in self._parts

    @contextmanager
    def writing(self, index: int) -> Iterator[Callable[[bytes], object]]:
        """Yield what takes the samples of a part, which is finished when the block ends."""
        partial = self.path / f"{index:06}{UNFINISHED}"
        digest = hashlib.sha256()
        try:
            with self._errors():
                file = partial.open("wb", buffering=0)
            with file:

                def write(samples: bytes) -> None:
                    digest.update(samples)
                    rest = memoryview(samples)
                    with self._errors():
                        while rest:
                            rest = rest[file.write(rest) :]

                yield write
                with self._errors():
                    os.fsync(file.fileno())
            part = self.path / f"{index:06}-{digest.hexdigest()[:16]}.pcm"
            with self._errors():
                partial.replace(part)
                _sync_folder(self.path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        self._parts[index] = part

    def samples(self) -> Iterator[bytes]:
        """Yield the samples of all parts, in their order."""
        for index in sorted(self._parts):
            with self._errors():
                file = self._parts[index].open("rb")
            with file:
                while block := file.read(BLOCK):
                    yield block

    def remove(self) -> None:
        """Delete the folder.  The state goes last: without it, the rest would not be ours."""
        for part in self._parts.values():
            part.unlink(missing_ok=True)
        self._parts.clear()
        for name in (STATE, LOCK):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody has put a file there
            self.path.rmdir()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Make errors of the folder's own files messages."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise click.ClickException(f"{self.path} cannot be written: {reason}.") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other process use the folder; the system ends that when this one ends."""
        with self._errors():
            self.path.mkdir(exist_ok=True)
            names = sorted(path.name for path in self.path.iterdir())
        if foreign := [name for name in names if not _OURS.fullmatch(name)]:
            raise click.ClickException(
                f"{self.path} has files that are not ours, such as {foreign[0]}: move that folder "
                "away, or choose another name for the output."
            )
        with self._errors():
            file = (self.path / LOCK).open("wb")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise click.ClickException(
                    f"another process is making this file: it uses {self.path}. Wait for it, or "
                    "choose another name for the output."
                ) from None
            except OSError:
                pass  # a file system without locks
            yield

    def _open(self, facts: dict[str, str], seed: int | None) -> None:
        state = self._state()
        before = state.get("facts")
        before = before if isinstance(before, dict) else {}
        found = [path for path in self.path.iterdir() if path.name not in (STATE, LOCK)]
        if before == facts:
            drawn = state.get("seed")
            self.seed = drawn if isinstance(drawn, int) else seed
            self._parts = {int(path.name[:6]): path for path in found if _is_whole(path)}
            found = [path for path in found if path not in self._parts.values()]
        else:
            self.seed = seed
            if any(_PART.fullmatch(path.name) for path in found):
                names = [name for name in facts if before.get(name) != facts[name]]
                # The last one is a hash of all, and tells nothing beside another.
                self.changed = tuple(names[:-1] or names)
        for path in found:
            path.unlink()
        if before != facts:
            self._save({"facts": facts, "seed": self.seed})

    def _state(self) -> dict[str, object]:
        try:
            state = json.loads((self.path / STATE).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _save(self, state: dict[str, object]) -> None:
        partial = self.path / f"{STATE}{UNFINISHED}"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / STATE)
        _sync_folder(self.path)
        _sync_folder(self.path.parent)


def _is_whole(path: Path) -> bool:
    """Return whether a file is a part, with the content that its name says."""
    name = _PART.fullmatch(path.name)
    if name is None:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(name[2])


def _sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk, where the system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
