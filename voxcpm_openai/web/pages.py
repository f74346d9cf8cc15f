"""Pages of a list that starts after an id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from voxcpm_openai.errors import InvalidRequest


class Identified(Protocol):
    """A record with an id."""

    @property
    def id(self) -> str:
        """The id."""


Record = TypeVar("Record", bound=Identified)


def page_of(
    records: Sequence[Record], size: int, after: str | None, *, param: str, kind: str
) -> tuple[Sequence[Record], bool]:
    """Return up to ``size`` records after that with the id ``after``, and whether more follow.

    Raises InvalidRequest for an id that no record has; ``param`` and ``kind`` are for its message.
    """
    start = 0
    if after is not None:
        ids = [record.id for record in records]
        if after not in ids:
            raise InvalidRequest(f"There is no {kind} '{after}' to list from.", param=param)
        start = ids.index(after) + 1
    shown = records[start : start + size]
    return shown, start + len(shown) < len(records)
