"""Markup that is still open at the end of a text, so that the text must not be cut there."""

from __future__ import annotations

import re

from voxcpm_openai.session.blocks import fence_start
from voxcpm_openai.text.ssml import TAG

LONGEST = 300
"""Inline markup that is open for more characters than this counts as plain characters."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
# Elements whose content is replaced, not read aloud, or has a rate: however long they are.
_WHOLE = frozenset(
    "sub say-as phoneme prosody script style svg think thinking ruby rt rp rtc".split()
)
# Elements of HTML and SSML that ``clean`` removes without their closing tags.
_LOOSE = frozenset(
    "a abbr article aside audio b big blockquote body br break button caption center cite code dd"
    " del details div dl dt em emphasis figure font footer h1 h2 h3 h4 h5 h6 head header hr html i"
    " iframe img input ins kbd label li main mark nav ol p pre q rb s section small span speak"
    " strike strong summary table tbody td th thead title tr tt u ul var video voice wbr".split()
)
_TAG_BEGIN = re.compile(r"<(?:[A-Za-z/!?][^<>]*)?$")
# Marks that come in pairs.  A group is one that may be the first of a pair.
_PAIRS = (
    re.compile(r"(?<!`)(`{1,2})(?!`)"),
    re.compile(r"(?<![\w_])(_{1,3})(?=[^\s_])|(?<=[^\s_])_{1,3}(?!\w)"),
    re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])|(?<=[^\s*])\*{1,3}"),
    re.compile(r"(~~)"),
    re.compile(r"(\|\|)"),
    re.compile(r"(?<![=\w!<>])(==)(?=[^\s=])|(?<=[^\s=])==(?![=\w])"),
    re.compile(r"(\$\$)"),
)
_FORMULA = re.compile(r"(?<![\w$])\$(?=[A-Za-z\\])[^$]*$")
_LINK = re.compile(r"\]\([^()]*(?:\([^()]*\)[^()]*)*$")


def is_open(text: str) -> bool:
    """Return whether markup that began in a text may go on after it.

    Fences, and elements whose content is not read as it stands, go on until they are closed;
    other markup to the end of its paragraph, and at most for ``LONGEST`` characters.
    """
    return fence_start(text) is not None or _in_element(text) or _in_line(_tail(text))


def _tail(text: str) -> str:
    """Return what inline markup can be in: the last paragraph's last characters."""
    paragraph = 0
    for found in _PARAGRAPH.finditer(text):
        paragraph = found.end()
    return text[max(paragraph, len(text) - LONGEST) :]


def _in_element(text: str) -> bool:
    """Return whether a text ends within a tag, a comment, or an element that must be whole."""
    if "<" not in text:
        return False
    if _follows(text, "<!--", "-->") or _TAG_BEGIN.search(text[-LONGEST:]):
        return True
    opened: list[tuple[str, int]] = []
    for tag in TAG.finditer(text):
        name = tag[2].lower().rpartition(":")[2]
        if name in _LOOSE or (tag[3] or "").endswith("/"):
            continue
        if not tag[1]:
            opened.append((name, tag.start()))
            continue
        places = [place for place, (other, _) in enumerate(opened) if other == name]
        del opened[places[-1] if places else len(opened) :]
    return any(name in _WHOLE or len(text) - start < LONGEST for name, start in opened)


def _in_line(text: str) -> bool:
    """Return whether a part of a paragraph ends within inline markup."""
    return (
        _FORMULA.search(text) is not None
        or _LINK.search(text) is not None
        or _follows(text, "\\(", "\\)")
        or text.count("[") > text.count("]")
        or any(_unpaired(pattern, text) for pattern in _PAIRS)
    )


def _follows(text: str, opening: str, closing: str) -> bool:
    """Return whether the last ``opening`` of a text is not closed."""
    return text.rfind(opening) > text.rfind(closing)


def _unpaired(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a mark that a pattern finds has no partner of its kind."""
    waiting = ""
    for found in pattern.finditer(text):
        if waiting == found[0]:
            waiting = ""
        elif not waiting and found[1]:
            waiting = found[1]
    return bool(waiting)
