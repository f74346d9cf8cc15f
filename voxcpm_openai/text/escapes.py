"""Line breaks that are written as a backslash and a letter."""

from __future__ import annotations

import re

# \n and the like.  After \\ or in a path such as C:\new they are no line breaks, nor are commands
# of LaTeX such as \neq and \to.
_ESCAPE = re.compile(
    r"(?<!\\)\\(?:r\\n"
    r"|n(?!(?:abla|atural|earrow|eg|eq|ewcommand|ewline|exists|geq|leq|olimits|onumber|ot|otin"
    r"|parallel|subseteq|u|warrow)(?![a-z]))(?!e\b(?<=\s\\ne))"
    r"|r(?!(?:aisebox|angle|brace|brack|ceil|ef|enewcommand|floor|ho|ight|ightarrow|m|oot|ule"
    r"|vert)(?![a-z]))"
    r"|t(?!(?:an|anh|ag|au|binom|ext[a-z]*|frac|herefore|heta|hickapprox|ilde|imes|itle|o|oday|op"
    r"|riangle|t)(?![a-z])))"
)
_PATH = re.compile(r"[\"'“(]?(?:[A-Za-z]:\\|\\\\\w|\.{1,2}\\|%\w+%\\|~\\)")
_PATH_PART = re.compile(r"[\w-]+\\\w")
_CALL = re.compile(r"\w\([\"']")
_QUOTES = "\"'`“”‘’/"


def break_lines(text: str) -> str:
    r"""Return a text that has no line breaks with ``\n`` as a line break, ``\t`` as a space.

    Code and the paths of Windows stay.
    """
    if "\\" not in text or "\n" in text.strip() or _CALL.search(text):
        return text
    parts = re.split("(`+)", text)
    if len(parts) % 4 != 1:
        return _break(text)  # the backticks are not in pairs
    return "".join(_break(part) if number % 4 == 0 else part for number, part in enumerate(parts))


def _break(text: str) -> str:
    """Return a text without code in which written line breaks are real ones."""
    words = [word for word in re.finditer(r"\S+", text) if "\\" in word[0]]
    paths = [word.span() for word in words if _PATH.match(word[0])]
    if paths:  # a path may have spaces: C:\Program Files\new
        parts_of_paths = [word.span() for word in words if _PATH_PART.match(word[0])]
        paths = sorted({*paths, *parts_of_paths})
    parts, done = [], 0
    for start, end in paths:
        parts += [_ESCAPE.sub(_real, text[done:start]), text[start:end]]
        done = end
    return "".join(parts) + _ESCAPE.sub(_real, text[done:])


def _real(escape: re.Match[str]) -> str:
    """Return the character that was written, or the match itself if it is only mentioned."""
    before = escape.string[max(0, escape.start() - 2) : escape.start()]
    after = escape.string[escape.end() : escape.end() + 1]
    quoted = before[-1:] in _QUOTES and after != "" and after in _QUOTES and before != ""
    mentioned = before[-1:] in (" ", "(") and before[:1] not in (".", "!", "?", ":")
    mentioned = mentioned and after in (" ", ".", ",", ";", ")")
    if quoted or (mentioned and after):
        return escape[0]
    return " " if escape[0] == "\\t" else "\n"
