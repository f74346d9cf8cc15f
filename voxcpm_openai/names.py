"""Names that clients send: of models, voices and formats.

An exact name comes first.  Otherwise case does not matter, unless several names differ by it only:
none of them is then chosen in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Item = TypeVar("Item")


def find(items: Mapping[str, Item], name: str) -> Item | None:
    """Return the item of a name, or None."""
    if name in items:
        return items[name]
    known = same(items, name)
    return None if known is None else items[known]


def same(known: Iterable[str], name: str) -> str | None:
    """Return the only known name that equals ``name`` but for the case, or None."""
    wanted = name.casefold()
    found = [one for one in known if one.casefold() == wanted]
    return found[0] if len(found) == 1 else None


def without_provider(name: str) -> str:
    """Return a model's name without what routers put before it: "openai/tts-1" is "tts-1"."""
    return name.rpartition("/")[2]
