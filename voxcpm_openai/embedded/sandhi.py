"""The tones of 一 and 不, which change with the syllable after them.

Kokoro speaks 不, and 一 mostly, with the tone that is written, so they are given the one that is
spoken.  A third tone before another one stays: Kokoro has learnt how that is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

_DIGIT = "[零一二三四五六七八九幺]"
_OTHER_WORD = "(?![定起直样般些共切致])"

_PLAIN = re.compile(
    "(?<=[第十之独统唯])一"
    f"|(?<={_DIGIT})一{_OTHER_WORD}"
    f"|(?<=[百千万亿])一(?![百千万亿]){_OTHER_WORD}"
    f"|(?<={_DIGIT}点)一(?!刻){_OTHER_WORD}"
    "|(?<=月)一(?=[日号])"
    f"|一(?={_DIGIT}|点{_DIGIT}|月|号|楼|年级|等奖|加|减|乘|除以|等于|比{_DIGIT}|不二)"
)
"""一 as a digit or an ordinal number, with the tone that it has alone."""

_LAST = re.compile(".*[统唯惟万单专之其初周期拜逐合如高]一")
"""Words in whose end 一 keeps its tone, whatever follows: 周一 + 上午."""


def change(text: str, read: list[str], words: Sequence[str]) -> None:
    """Change the readings of 一 and 不 to the spoken ones.

    ``read``: the pinyin of each character of the text; ``words``: the words that the text is of.
    """
    plain = {match.start() for match in _PLAIN.finditer(text)} | set(_last_of_words(words))
    for at, char in enumerate(text):
        tone = read[at + 1][-1:] if at + 1 < len(read) else ""
        if char == "一":
            read[at] = "yi1" if at in plain or not tone else "yi2" if tone in "45" else "yi4"
        elif char == "不" and read[at] != "bu5":
            read[at] = "bu2" if tone == "4" else "bu4"


def _last_of_words(words: Sequence[str]) -> Iterator[int]:
    """Yield where 一 is the end of a word such as 周一."""
    for word, end in zip(words, accumulate(map(len, words)), strict=True):
        if _LAST.fullmatch(word):
            yield end - 1
