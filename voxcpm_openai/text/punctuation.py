"""Punctuation as a person would write it: dashes, ellipses, apostrophes, multiplication signs."""

from __future__ import annotations

import re

_TIMES = re.compile(r"(?<=\d)(\s?)\*(\s?)(?=\d)")
_BULLET = re.compile(r" [•·∙] ")
_ELLIPSIS = re.compile(r" ?\.(?: \.){2,}")

# A dash between words; which words, ``_dash`` decides.
_DASH = re.compile(r"(?<=[^\s-])(?: -{1,3} |-{2,3} ?)(?=[^\W\d_]|[\"'“‘«(])")
_LATIN = "A-Za-zÀ-ɏ"
_OPTION = re.compile(r"(?:^|\s)--?[A-Za-z][\w-]*")
_WORD_END = re.compile(r"(\w*)[.,;:!?…\"'”’»)\]]{0,3}$")
_POWERS = "²³¹⁰⁴⁵⁶⁷⁸⁹"
_WORD_START = re.compile(r"[\"'“‘«(]?(\w{0,3})")
# A backtick, acute accent or prime as an apostrophe.
_APOSTROPHE = re.compile(f"(?<=[{_LATIN}])[´′](?=[{_LATIN}])")
_TICK = re.compile("`+")


def apostrophes(line: str) -> str:
    """Return a line with ``don't`` for ``don`t``; backticks around code stay."""
    line = _APOSTROPHE.sub("'", line)
    if "`" not in line:
        return line
    parts, done, opened = [], 0, ""
    runs = list(_TICK.finditer(line))
    for number, ticks in enumerate(runs):
        closed = number + 1 < len(runs) and _closes(runs[number + 1])
        if ticks[0] == "`" and _is_within(ticks) and not opened and not closed:
            parts += [line[done : ticks.start()], "'"]
            done = ticks.end()
        elif opened == ticks[0]:
            opened = ""
        elif not opened:
            opened = ticks[0]
    return "".join(parts) + line[done:]


def punctuate(line: str) -> str:
    """Return a line with ``2 × 3``, ``…`` and dashes between words."""
    line = _BULLET.sub(", ", _TIMES.sub(r"\1×\2", line))
    line = _ELLIPSIS.sub("…", line)
    if "-" not in line or (" --" in line and _OPTION.search(line)):
        return line
    return _DASH.sub(_dash, line)


def _dash(dash: re.Match[str]) -> str:
    """Return a dash that pauses, or the match itself if it is a sign of a formula or of code."""
    before = _WORD_END.search(dash.string[max(0, dash.start() - 24) : dash.start()])
    after = _WORD_START.match(dash.string, dash.end())
    left, right = before[1] if before else "", after[1] if after else ""
    left, right = left.rstrip(_POWERS), right.rstrip(_POWERS)
    if len(left) < 2 and len(right) < 2 and before and before[0].rstrip(_POWERS) == left:
        return dash[0]
    spaced = dash[0].startswith(" ")
    if not spaced and ("_" in left + right or not left or not left[-1].isalpha() or not right):
        return dash[0]
    return " — "


def _is_within(ticks: re.Match[str]) -> bool:
    """Return whether backticks are within a word."""
    text, start, end = ticks.string, *ticks.span()
    return _is_latin(text[max(0, start - 1) : start]) and _is_latin(text[end : end + 1])


def _closes(ticks: re.Match[str]) -> bool:
    """Return whether a backtick is after a word: it closes code."""
    before = ticks.string[ticks.start() - 1]
    return ticks[0] == "`" and not before.isspace() and not _is_within(ticks)


def _is_latin(char: str) -> bool:
    """Return whether a character is a letter of a Latin word."""
    return re.match(f"[{_LATIN}]", char) is not None
