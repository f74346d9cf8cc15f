"""SSML that is read: pauses, aliases, spelled words, pronunciations and rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape

from voxcpm_openai.text.characters import compose, hide, plain, show
from voxcpm_openai.text.marks import (
    MARK,
    MAX_PAUSE,
    MAX_RATE,
    MIN_RATE,
    SILENT,
    Marks,
    Pause,
    Phonemes,
    Rate,
)
from voxcpm_openai.text.script import speakable
from voxcpm_openai.text.spelling import say_as

TAG = re.compile(
    r"<(/?)([A-Za-z][\w:-]{0,40}+)"
    r"(\s(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+|\s[^<>]*|/)?>"
)
"""A tag: its slash, name and attributes."""

_READ = frozenset(("break", "sub", "say-as", "phoneme", "prosody"))
_ATTRIBUTE = re.compile(
    r"(?<![\w:.-])([\w:.-]{1,60}+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>/]+))"
)
_MAX_ATTRIBUTES = 4000
_MAX_IPA = 500
_TIME = re.compile(r"\s*\+?(\d{0,300}\.?\d{1,9})\s*(ms|s)\s*", re.IGNORECASE)
# Its length in any form, so that a wrong one is not spoken.
_PAUSE = re.compile(
    r"\[pause(?:[:=]? ?(?=\d)|[:=] ?(?=\S))([^\[\]\n]*)\]",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"(\d{0,300}\.?\d{1,300}) ?(ms|milliseconds?|s|secs?|seconds?|)\.?", re.IGNORECASE
)
_STRENGTHS = {
    "none": 0.0,
    "x-weak": 0.1,
    "weak": 0.2,
    "medium": 0.4,
    "strong": 0.7,
    "x-strong": 1.2,
}
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_FACTOR = re.compile(r"(?P<sign>[+-]?)(?P<number>\d{0,4}\.?\d{1,4})(?P<percent>%?)")
_SILENT = re.compile(f"[{SILENT}]")
_MARK = re.compile(f"[{MARK}]")


@dataclass(slots=True)
class _Element:
    """An element whose content is replaced, and where that begins in the output."""

    name: str
    attributes: dict[str, str]
    start: int


class _Reader:
    """Reads one text.  ``to_text`` makes plain text of the content of an element."""

    def __init__(self, marks: Marks | None, to_text: Callable[[str], str]) -> None:
        self._marks = marks
        self._to_text = to_text
        self._out: list[str] = []
        self._open: _Element | None = None
        self._inside: list[str] = []  # the elements inside an alias, whose content is not said
        self._rates = [1.0]

    def read(self, text: str) -> str:
        done = 0
        for tag in TAG.finditer(text):
            name = tag[2].lower().rpartition(":")[2]
            if name not in _READ:
                continue
            self._out.append(text[done : tag.start()])
            self._out.append(self._tag(tag, name))
            done = tag.end()
        return "".join(self._out) + text[done:]

    def _tag(self, tag: re.Match[str], name: str) -> str:
        """Return what a tag becomes."""
        if tag[1]:
            return self._close(tag, name)
        attributes = _attributes(tag[3] or "")
        empty = (tag[3] or "").endswith("/")
        if name == "break":
            return self.pause(_break_seconds(attributes))
        if name == "prosody":
            return self._open_rate(attributes, empty)
        aliased = self._open is not None and self._open.name == "sub"
        if aliased or (name == "sub" and "alias" not in attributes):
            self._inside += [name] if aliased and not empty else []
            return "" if aliased else tag[0]
        if not empty:
            # Of nested elements the inner is read: each text is read only once.
            self._open = _Element(name, attributes, len(self._out) + 1)
            return ""
        return _said(attributes["alias"]) if name == "sub" else ""

    def _close(self, tag: re.Match[str], name: str) -> str:
        """Return what the closing tag of an element becomes, with the element's content."""
        if name == "prosody":
            if len(self._rates) == 1:
                return ""
            before = self._rates.pop()
            return "" if before == self._rates[-1] else self.mark(Rate(self._rates[-1]))
        if name in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(name) :]
            return ""
        element = self._open
        if element is None or element.name != name:
            return tag[0] if name == "sub" else ""
        self._open, self._inside = None, []
        content = "".join(self._out[element.start :])
        del self._out[element.start :]
        said = self._said(element, _MARK.sub("", content))
        return said + "".join(_SILENT.findall(content))

    def _said(self, element: _Element, content: str) -> str:
        """Return how the content of an element is said."""
        attributes = element.attributes
        if element.name == "sub":
            return _said(attributes["alias"])
        if element.name == "say-as":
            said = say_as(
                self._to_text(content),
                attributes.get("interpret-as", "").lower(),
                attributes.get("format", "").lower(),
            )
            return content if said is None else hide(said)
        ipa = " ".join(attributes.get("ph", "").split())
        if not 0 < len(ipa) <= _MAX_IPA or attributes.get("alphabet", "ipa").lower() != "ipa":
            return content
        text = self._to_text(content)
        return self.mark(Phonemes(text, ipa), content) if speakable(text) else content

    def _open_rate(self, attributes: dict[str, str], empty: bool) -> str:
        """Return the mark of the rate that begins here."""
        if empty:
            return ""
        before = self._rates[-1]
        rate = min(max(before * _factor(attributes.get("rate", "")), MIN_RATE), MAX_RATE)
        self._rates.append(rate)
        return "" if rate == before else self.mark(Rate(rate))

    def pause(self, seconds: float | None) -> str:
        """Return a pause between spaces; None is no pause, but a space."""
        return " " if seconds is None else f" {self.mark(Pause(min(seconds, MAX_PAUSE)))} "

    def mark(self, mark: Pause | Rate | Phonemes, text: str = "") -> str:
        """Return the character of a mark, or the text if there are no marks."""
        return text if self._marks is None else self._marks.add(mark)


def read_ssml(text: str, marks: Marks | None, to_text: Callable[[str], str]) -> str:
    """Return the text without the tags of SSML that are read, and with their marks.

    Without ``marks`` pauses and rates are ignored, and pronunciations are their text.
    ``to_text`` makes plain text of the content of an element.  A pause is also ``[pause:1s]``.
    """
    reader = _Reader(marks, to_text)
    if "<" in text:
        text = reader.read(text)
    return _PAUSE.sub(lambda m: reader.pause(_pause_seconds(m[1])), text)


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes of a tag by their names in lower case, without namespaces."""
    return {
        found[1].lower().rpartition(":")[2]: plain(
            unescape(show(found[2] or found[3] or found[4] or ""))
        )
        for found in _ATTRIBUTE.finditer(text[:_MAX_ATTRIBUTES])
    }


def _said(alias: str) -> str:
    """Return an alias as text that never counts as markup."""
    return hide(" ".join(compose(alias).split()))


def _break_seconds(attributes: dict[str, str]) -> float | None:
    """Return the length of a break, or None if it is malformed."""
    if "time" in attributes:
        time = _TIME.fullmatch(attributes["time"])
        return _seconds(time[1], time[2]) if time else None
    return _STRENGTHS.get(attributes.get("strength", "medium").strip().lower())


def _pause_seconds(length: str) -> float | None:
    """Return the length of a pause in brackets, in seconds without a unit; None if malformed."""
    found = _LENGTH.fullmatch(length.strip())
    return _seconds(found[1], found[2]) if found else None


def _seconds(number: str, unit: str) -> float:
    """Return a duration in seconds."""
    return float(number) / (1000 if unit.lower().startswith("m") else 1)


def _factor(rate: str) -> float:
    """Return the factor of a rate such as ``slow``, ``80%``, ``+10%`` or ``1.2``; else 1."""
    rate = rate.strip().lower()
    if rate in _RATES:
        return _RATES[rate]
    found = _FACTOR.fullmatch(rate)
    if not found:
        return 1.0
    number = float(found["number"]) / (100 if found["percent"] else 1)
    if found["sign"] and found["percent"]:
        number = 1 + (number if found["sign"] == "+" else -number)
    elif found["sign"]:
        return 1.0
    return number if number > 0 else 1.0
