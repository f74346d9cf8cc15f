"""Blocks that are not read aloud: code, and the reasoning of language models.

One that is short waits for its end, since it may have none.  A long one is passed over while it
comes: otherwise it would fill the room for text that waits.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONG = 1000
"""The characters after which a block is passed over, though its end is not there."""

_FENCE = re.compile(r"^[^\S\n>]*(?:>[^\S\n>]*)*(`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)
_ELEMENT = re.compile(r"<(think|thinking|script|style|svg)\b[^<>]*>|<!--", re.IGNORECASE)


def fence_start(text: str) -> tuple[int, str] | None:
    """Return where a block of code begins that is still open at the end, and its fence."""
    opened: tuple[int, str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence.start(), fence[1]
        elif fence[1].startswith(opened[1]) and not fence[2].strip():
            opened = None
    return opened


class Block(NamedTuple):
    """A block that is not read: where it begins, where its content does, and what ends it."""

    start: int
    content: int
    end: re.Pattern[str]


def silent_block(text: str) -> Block | None:
    """Return the block that is still open at the end of a text."""
    if found := fence_start(text):
        start, fence = found
        end = rf"^[^\S\n>]*(?:>[^\S\n>]*)*{re.escape(fence)}[`~]*[^\S\n]*\n"
        content = text.find("\n", start) + 1 or len(text)
        return Block(start, content, re.compile(end, re.MULTILINE))
    at = 0
    while opening := _ELEMENT.search(text, at):
        end = rf"</{opening[1]}\s*>" if opening[1] else "-->"
        closing = re.compile(end, re.IGNORECASE)
        ended = closing.search(text, opening.end())
        if ended is None:
            return Block(opening.start(), opening.end(), closing)
        at = ended.end()
    return None
