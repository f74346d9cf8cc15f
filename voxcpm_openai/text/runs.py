"""Runs of one language within a segment: Chinese sentences with phrases in Latin letters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxcpm_openai.contracts import Segment
from voxcpm_openai.text.marks import PHONEMES

_CHINESE = "\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_MARKS = r"，。！？；：、“”‘’（）《》…—"
_WORD = r"[A-Za-zÀ-ɏ]+(?:['’-][A-Za-zÀ-ɏ]+)*"
# At least two words of two letters or more, with what is between them: an English phrase.
_PHRASE = re.compile(
    rf"(?<![A-Za-z0-9])(?=(?:[^{_CHINESE}]*?[A-Za-zÀ-ɏ]{{2,}}[^{_CHINESE}A-Za-z]*?\s){{1}}"
    rf"[^{_CHINESE}]*[A-Za-zÀ-ɏ]{{2,}}){_WORD}[^{_CHINESE}{_MARKS}]*"
)
_SPOKEN = re.compile(rf"[\w{PHONEMES}]")
_HAS_CHINESE = re.compile(f"[{_CHINESE}]")


def runs(segment: Segment, latin: str) -> Iterator[Segment]:
    """Yield a segment as runs of Chinese and of the language ``latin``, each with its language.

    The pause is that of the last one.  Single words and letters of Latin script within Chinese
    stay in it: "WiFi", "GPT-4", "K歌".
    """
    text = segment.text
    if not _HAS_CHINESE.search(text):
        yield replace(segment, language=latin)
        return
    parts: list[tuple[str, str]] = []
    done = 0
    for phrase in _PHRASE.finditer(text):
        parts += [("zh", text[done : phrase.start()]), (latin, phrase[0])]
        done = phrase.end()
    parts.append(("zh", text[done:]))
    spoken = [(language, part.strip()) for language, part in parts if _SPOKEN.search(part)]
    for number, (language, part) in enumerate(spoken, 1):
        last = number == len(spoken)
        yield replace(segment, text=part, language=language, pause=segment.pause if last else 0.0)
