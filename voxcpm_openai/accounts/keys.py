"""API keys as the server knows them: by their SHA-256, a name, and what they may use."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from voxcpm_openai.principal import KEY_ID_DIGITS, OPERATOR, Principal, Role

NAME = re.compile(r"[\w][\w .@-]{0,63}")
"""The names that keys may have."""
HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
"""A key that is given as its hash."""
PREFIX = "vox-"
"""How the keys begin that this server makes."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may use.  None: what the settings say; 0: as much as it likes."""

    requests_per_minute: int | None = None
    characters_per_minute: int | None = None
    streams: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key: its SHA-256 in hexadecimal digits, its name, whose it is, and its own limits."""

    digest: str
    name: str
    operator: bool = False
    limits: KeyLimits = field(default_factory=KeyLimits)

    @property
    def id(self) -> str:
        """The id, which is the owner of what is added with the key."""
        return self.digest[:KEY_ID_DIGITS]

    @property
    def principal(self) -> Principal:
        """On whose behalf the key acts."""
        return OPERATOR if self.operator else Principal(Role.KEY, self.id)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key that is given plain or as ``sha256:...``."""
    if hashed := HASHED.fullmatch(key):
        return hashed[1].lower()
    return digest_of_bytes(key.encode())


def digest_of_bytes(key: bytes) -> str:
    """Return the SHA-256 of a key as a client sends it."""
    return hashlib.sha256(key).hexdigest()


def unnamed(key: str) -> ApiKey:
    """Return a key that has no name: it is called after its id."""
    digest = digest_of(key)
    return ApiKey(digest, f"key-{digest[:8]}")


def new_key() -> str:
    """Return a new key, which cannot be guessed: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)
