"""Principals: the caller of an operation, and what it may view and modify.

Voices, consents, candidates and dictionaries have an owner: the id of an API key, or None for the
operator.  Every principal may view what the operator owns.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voxcpm_openai.errors import Unauthorized


class Role(enum.Enum):
    """The kinds of principals."""

    OPERATOR = "operator"
    KEY = "key"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The operator, the holder of an API key, or anonymous.

    The operator is the user of the command line, and every client of a server without API keys.
    Use ``OPERATOR``, ``ANONYMOUS`` and ``ApiKey.principal`` instead of the constructor.
    """

    role: Role
    key_id: str | None = None

    @property
    def owner(self) -> str | None:
        """The owner of what this principal adds.  Raises Unauthorized for anonymous."""
        if self.role is Role.ANONYMOUS:
            raise Unauthorized("An API key is required to add anything.")
        return self.key_id

    def can_view(self, owner: str | None) -> bool:
        """Return whether this principal may see and use what ``owner`` owns."""
        return owner is None or self.can_modify(owner)

    def can_modify(self, owner: str | None) -> bool:
        """Return whether this principal may change and delete what ``owner`` owns."""
        if self.role is Role.OPERATOR:
            return True
        return self.role is Role.KEY and owner == self.key_id


OPERATOR = Principal(Role.OPERATOR)
ANONYMOUS = Principal(Role.ANONYMOUS)
