"""Whose a voice is: with several API keys, each key sees its own voices and everybody's.

An owner is what stands in a voice's record; a viewer is who asks.
"""

from __future__ import annotations

import hashlib

OPERATOR = None
"""The viewer at the command line, and anybody where no keys are configured: sees all.  As an owner:
what the operator adds is everybody's."""

STRANGER = ""
"""The viewer who sent no key to a server that has some: sees what is everybody's."""

DIGITS = 32


def owner_of(key: str) -> str:
    """Return the owner that an API key stands for; the key cannot be told from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:DIGITS]


def sees(viewer: str | None, owner: str | None) -> bool:
    """Whether a viewer may know of an owner's voice, and speak with it."""
    return viewer is OPERATOR or owner is OPERATOR or viewer == owner


def commands(viewer: str | None, owner: str | None) -> bool:
    """Whether a viewer may change an owner's voice, or take it away."""
    return viewer is OPERATOR or viewer == owner
