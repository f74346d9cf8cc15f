"""Checksums of files in the cache of huggingface_hub.

huggingface_hub checks the length of a download and not its content.  A file in a snapshot is a
symbolic link to a blob whose name is its hash: SHA-256 for LFS files, git's SHA-1 for others.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")
GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


def verify(path: Path) -> bool:
    """Return whether a file matches its checksum; remove one that does not from the cache.

    A file without a known checksum passes: one that is no link, or whose blob's name is no hash.
    Raises OSError if it cannot be read.
    """
    if not path.is_symlink():
        return True
    blob = path.resolve()
    if not blob.exists():  # removed through another link to it
        path.unlink()
        return False
    if SHA256.fullmatch(blob.name):
        digest = hashlib.sha256()
    elif GIT_SHA1.fullmatch(blob.name):
        digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    else:
        return True
    with blob.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    if digest.hexdigest() == blob.name:
        return True
    path.unlink()
    blob.unlink(missing_ok=True)
    return False
