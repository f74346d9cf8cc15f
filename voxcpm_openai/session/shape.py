"""The shape of a text: as long as the text, with its markup as spaces or quotation marks."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.text.ssml import TAG

# Tags that end a line or a sentence, and pauses.  Any other tag stays with the word beside it.
_BREAKS = frozenset(
    "article aside blockquote body br break dd details div dl dt footer h1 h2 h3 h4 h5 h6 header"
    " hr li ol p pre s section speak summary table td th tr ul".split()
)
_PAUSE = re.compile(r"\[pause[^\[\]\n]*\]", re.IGNORECASE)
_EMPHASIS = str.maketrans(dict.fromkeys("*_~`", '"'))
_OPENING = re.compile(r"[<\[]")
# The characters after which it is known what an opening bracket begins.
_DECIDED = re.compile(
    r"<(?:[^A-Za-z/!]|[A-Za-z/!](?:[^<>]{0,300}[<>]|[^<>]{301}))"
    r"|\[(?:[^\[\]\n]{0,60}[\[\]\n]|[^\[\]\n]{61})"
)

_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"
_MODIFIER = re.compile("[\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]*$")


def shape(text: str) -> str:
    """Return a text of the same length in which sentences can be found.

    Emphasis and tags within a sentence become quotation marks, other tags and pauses spaces.
    """
    text = TAG.sub(_tag, text) if "<" in text else text
    text = _PAUSE.sub(lambda pause: " " * len(pause[0]), text) if "[" in text else text
    return text.translate(_EMPHASIS)


def _tag(tag: re.Match[str]) -> str:
    sign = " " if tag[2].lower().rpartition(":")[2] in _BREAKS else '"'
    return sign * len(tag[0])


def known_shape(text: str, start: int, end: int) -> int | None:
    """Return how much must be there until the shape of ``text[start:end]`` is final, or None.

    It is not while a tag or a pause in that part may still be closed.
    """
    for opening in _OPENING.finditer(text, start, end):
        decided = _DECIDED.match(text, opening.start())
        if decided is None:
            return None
        end = max(end, decided.end())
    return end


def inside_character(text: str, place: int) -> bool:
    """Return whether a place is within what a person sees as one character, such as an emoji."""
    if not 0 < place < len(text):
        return False
    after = text[place]
    if after in _JOINERS or text[place - 1] == "\u200d" or _MODIFIER.match(after):
        return True
    if unicodedata.category(after)[0] == "M" or text[place - 1 : place + 1] == "\r\n":
        return True
    flags = _FLAGS.search(text, 0, place)
    return flags is not None and len(flags[0]) % 2 == 1 and "\U0001f1e6" <= after <= "\U0001f1ff"
