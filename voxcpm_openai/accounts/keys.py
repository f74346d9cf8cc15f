"""API keys as the server stores them: the SHA-256, a name and the limits."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import asdict, dataclass, field, replace

from voxcpm_openai.principal import OPERATOR, Principal, Role

NAME = re.compile(r"[\w][\w .@-]{0,63}")
"""A valid name of a key."""
NAME_RULE = "a name has letters, digits, spaces and . @ _ - only."
HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
"""A key that is given as its hash."""
ID_DIGITS = 32
"""The length of a key's id."""
PREFIX = "vox-"
"""The prefix of generated keys."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that apply to an account; 0: unlimited."""

    requests_per_minute: int = 0
    characters_per_minute: int = 0
    streams: int = 0


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of a key.  None: the setting's value; 0: unlimited."""

    requests_per_minute: int | None = None
    characters_per_minute: int | None = None
    streams: int | None = None

    def resolve(self, defaults: Limits) -> Limits:
        """Return these limits, with ``defaults`` for those that are None."""
        own = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(defaults, **own)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key: its SHA-256 in hexadecimal digits, its name, its role, and its own limits."""

    digest: str
    name: str
    operator: bool = False
    limits: KeyLimits = field(default_factory=KeyLimits)

    @property
    def id(self) -> str:
        """The id, the owner of what is added with the key.  It does not reveal the key."""
        return self.digest[:ID_DIGITS]

    @property
    def principal(self) -> Principal:
        """The principal of requests with this key."""
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
    """Return a key without a name; its name is made from its id."""
    digest = digest_of(key)
    return ApiKey(digest, f"key-{digest[:8]}")


def new_key() -> str:
    """Return a new key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)
