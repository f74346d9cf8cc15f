"""What is kept of the items of a Realtime conversation, which may go on for hours."""

from __future__ import annotations

from typing import Any

import pytest

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.web.sockets.realtime_items import MAX_CHARACTERS, MAX_ITEMS, Items


def item(text: str, **fields: object) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}], **fields}


@pytest.mark.parametrize(
    ("size", "kept"), [(1, MAX_ITEMS), (100_000, MAX_CHARACTERS // 100_000 - 1)]
)
def test_the_oldest_items_are_forgotten_by_their_number_and_by_their_size(
    size: int, kept: int
) -> None:
    items = Items()
    for number in range(MAX_ITEMS + 50):
        items.add(item("x" * size, id=f"item_{number}"), pending=True)
    found = []
    for number in range(MAX_ITEMS + 50):
        try:
            found.append(items.get(f"item_{number}")["id"])
        except InvalidRequest:
            assert not found, "only the oldest"
    assert kept <= len(found) <= kept + 1
    assert len(items.text_of(None).split("\n")) == len(found)


def test_an_item_that_is_as_large_as_all_may_be_is_kept_until_the_next() -> None:
    items = Items()
    items.add(item("small"))
    items.add(item("x" * (MAX_CHARACTERS + 1), id="large"))
    assert items.last() == "large"
    items.add(item("small", id="next"))
    assert items.last() == "next"
    with pytest.raises(InvalidRequest):
        items.get("large")


def test_an_item_that_comes_again_is_read_once() -> None:
    items = Items()
    for text in ("One.", "Two.", "Three."):
        items.add(item(text, id="same"), pending=True)
    assert items.text_of(None) == "Three."
    assert items.text_of(None) == ""
