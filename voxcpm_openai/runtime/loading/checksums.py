"""The checksums of files in the hub's cache.

The hub's library compares the length of what it has fetched, and not the content.  It keeps each
file under the name of its hash, to which the name in the repository is a link: the SHA-256 of a
large file, or git's SHA-1 of a small one.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")
GIT_SHA1 = re.compile(r"[0-9a-f]{40}")
PIECE = 1 << 20
"""Bytes that are read at once."""


def holds(path: Path) -> bool:
    """Return whether a file has its checksum; one that has another is removed from the cache.

    A file whose name in the cache is no hash, and what is no link, holds: nothing is known of it.
    Raises OSError if it cannot be read.
    """
    if not path.is_symlink():
        return True
    blob = path.resolve()
    if not blob.exists():  # it was removed as that of another name
        path.unlink()
        return False
    if SHA256.fullmatch(blob.name):
        digest = hashlib.sha256()
    elif GIT_SHA1.fullmatch(blob.name):
        digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    else:
        return True
    with blob.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    if digest.hexdigest() == blob.name:
        return True
    path.unlink()
    blob.unlink(missing_ok=True)
    return False
