"""Items of a Realtime conversation: their texts, and what is kept of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voxcpm_openai.errors import InvalidRequest

MAX_ITEMS = 256
MAX_CHARACTERS = 2 * 1024 * 1024
"""Items that are kept, and characters of their JSON; the oldest ones are forgotten."""
TEXTS = {"input_text": "text", "output_text": "text", "text": "text"}
TEXTS |= {"output_audio": "transcript", "input_audio": "transcript"}
"""The kinds of content that have a text, and where."""


class Items:
    """The items of a conversation, in their order, and which of them have not been read aloud."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, Any]] = {}
        self._sizes: dict[str, int] = {}  # characters of JSON
        self._pending: list[str] = []

    def add(self, item: dict[str, Any], *, pending: bool = False) -> dict[str, Any]:
        """Keep an item; return it as clients are told of it.  Raises InvalidRequest."""
        known = checked(item)
        id_ = known["id"]
        self._items[id_] = known
        self._sizes[id_] = len(json.dumps(known, ensure_ascii=False))
        if pending and id_ not in self._pending:
            self._pending.append(id_)
        while len(self._items) > MAX_ITEMS or sum(self._sizes.values()) > MAX_CHARACTERS:
            oldest = next(iter(self._items))
            if oldest == id_:
                break
            self.delete(oldest)
        return known

    def last(self) -> str | None:
        """Return the id of the last item."""
        return next(reversed(self._items), None)

    def get(self, id_: object) -> dict[str, Any]:
        """Return an item.  Raises InvalidRequest."""
        item = self._items.get(id_) if isinstance(id_, str) else None
        if item is None:
            raise InvalidRequest(f"There is no item {str(id_)[:64]!r}.", param="item_id")
        return item

    def delete(self, id_: object) -> None:
        """Forget an item.  Raises InvalidRequest."""
        known = self.get(id_)["id"]
        del self._items[known], self._sizes[known]
        self._pending = [one for one in self._pending if one != known]

    def text_of(self, items: Sequence[dict[str, Any]] | None) -> str:
        """Return the text to be read: of these items, or of all that have not been read."""
        if items is None:
            found = [self._items[id_] for id_ in self._pending]
            self._pending.clear()
        else:
            found = [self._resolved(item) for item in items]
        return "\n".join(text for item in found for text in texts(item))

    def _resolved(self, item: dict[str, Any]) -> dict[str, Any]:
        if item.get("type") == "item_reference":
            return self.get(item.get("id"))
        return checked(item)


def checked(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item with an id.  Raises InvalidRequest if it is no item of a conversation."""
    kind, content = item.get("type", "message"), item.get("content", [])
    if not isinstance(kind, str) or (kind == "message" and not isinstance(content, list)):
        raise InvalidRequest(
            "An item has a 'type', and a message a list as 'content'.", param="item"
        )
    if not all(isinstance(part, dict) for part in content or []):
        raise InvalidRequest("The 'content' of a message is a list of objects.", param="item")
    id_ = item.get("id")
    if id_ is not None and not (isinstance(id_, str) and 0 < len(id_) <= 64):
        raise InvalidRequest("The 'id' of an item is a string of 1 to 64 characters.", param="item")
    named = {"id": id_ or new_id("item"), "object": "realtime.item", "type": kind}
    return {**item, **named, "status": "completed"}


def texts(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a message; instructions to a language model are not read aloud."""
    if item["type"] != "message" or item.get("role") == "system":
        return
    for part in item["content"]:
        text = part.get(TEXTS.get(str(part.get("type")), ""))
        if isinstance(text, str) and text:
            yield text


def message(id_: str, status: str, transcript: str | None) -> dict[str, Any]:
    """Return the item of a response; ``transcript``: what it says, None if nothing yet."""
    content = [] if transcript is None else [{"type": "output_audio", "transcript": transcript}]
    return {
        "id": id_,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def new_id(kind: str) -> str:
    """Return a new id, such as ``resp_...``."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"
