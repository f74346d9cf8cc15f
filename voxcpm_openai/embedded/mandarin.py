"""Mandarin words to Kokoro's phonemes, by the packages misaki, jieba and pypinyin."""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from functools import lru_cache
from typing import Any

from voxcpm_openai.embedded import sandhi
from voxcpm_openai.embedded.readings import COUNTED_LINES, JOINED, READINGS
from voxcpm_openai.english.words import to_words

logger = logging.getLogger(__name__)

PACKAGES = ("misaki", "jieba", "pypinyin", "cn2an", "ordered_set")
"""What is imported; ``misaki`` imports the last two."""

_RUNS = re.compile(
    "(?P<han>[\u3400-\u4dbf\u4e00-\u9fff]+)"
    "|(?P<latin>[A-Za-z\u00c0-\u024f](?:[A-Za-z\u00c0-\u024f' \u00a0-]*[A-Za-z\u00c0-\u024f])?)"
    "|(?P<marks>[^\u3400-\u4dbf\u4e00-\u9fffA-Za-z\u00c0-\u024f]+)"
)
_MARKS = {
    "，": ",",
    "、": ",",
    "。": ".",
    "！": "!",
    "？": "?",
    "；": ";",
    "：": ":",
    "（": ",",
    "）": ",",
}
_KNOWN_MARKS = frozenset(",.!?;:—…")
_REPEATED = re.compile(r"([,.!?;:—…])\1+")
_SPACE_BEFORE = re.compile(r" +(?=[,.!?;:…])")

_load = threading.Lock()


def missing() -> str | None:
    """Return the name of a package that is not installed, or None; imports nothing."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            return name
    return None


@lru_cache(maxsize=1)
def _tools() -> tuple[Any, Any, Any, Any]:
    """Return jieba's tokenizer, pypinyin, its phrases, and misaki's pinyin to phonemes.

    The tokenizer reads its dictionary itself: jieba's own way writes a cache to the folder for
    temporary files, which others may write too, and log lines to the standard error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages older than this Python
        import jieba
        import pypinyin
        from misaki.zh import ZHG2P
        from pypinyin.constants import PHRASES_DICT
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer, pypinyin, PHRASES_DICT, ZHG2P.py2ipa


def load() -> None:
    """Load the packages and dictionaries, which takes a second or two."""
    with _load:
        _tools()


def words(text: str) -> list[str]:
    """Return the words and marks of a text, which together are the text."""
    load()
    return list(_tools()[0].lcut(text))


class MandarinPhonemizer:
    """Turns Mandarin text of words, without digits and signs, into phonemes.

    Any thread may use it.  The packages are loaded at the first text, or by ``load``, once for
    all phonemizers.
    """

    def __init__(self, english: Callable[[str], str]) -> None:
        """``english``: turns English words into phonemes; gets Latin words and letters."""
        self._english = english

    def __call__(self, text: str) -> str:
        """Return the phonemes of a text, with spaces between words and marks for pauses."""
        load()
        parts = []
        for kind, run in _runs(text):
            if kind == "han":
                parts.append(" ".join(self._phonemes(run)))
            elif kind == "latin":
                parts.append(self._latin(run))
            else:
                parts.append(_marks(run))
        joined = _SPACE_BEFORE.sub("", " ".join(" ".join(parts).split()))
        return _REPEATED.sub(r"\1", joined).lstrip(" ,;:")

    def _latin(self, run: str) -> str:
        """Return the phonemes of Latin words; a letter alone by its name, not as an article."""
        words = run.upper() if len(run) == 1 else to_words(run)
        return self._english(f"{words}.").rstrip(" .")

    def pinyin(self, text: str) -> list[str]:
        """Return the pinyin of the Chinese characters of a text, with the numbers of the tones."""
        load()
        runs = (run for kind, run in _runs(text) if kind == "han")
        return [syllable for run in runs for word in self._read(run) for syllable in word]

    def _phonemes(self, run: str) -> Iterator[str]:
        """Yield the phonemes of each word of Chinese characters."""
        for word in self._read(run):
            yield "".join(map(_syllable, word))

    def _read(self, run: str) -> list[list[str]]:
        """Return the pinyin of each word of Chinese characters."""
        tokenizer, pypinyin, phrases, _ = _tools()
        words: list[str] = tokenizer.lcut(run)
        read: list[str] = []
        known: list[bool] = []
        for word in words:
            syllables = pypinyin.lazy_pinyin(
                word,
                style=pypinyin.Style.TONE3,
                neutral_tone_with_five=True,
                errors=lambda chars: [""] * len(chars),
            )
            read += syllables
            known += [_is_known(word, phrases)] * len(syllables)
        if len(read) == len(run):
            _correct(run, read, known)
            sandhi.change(run, read, words)
        return _grouped(read, words)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    for match in _RUNS.finditer(text):
        yield str(match.lastgroup), match[0]


def _is_known(word: str, phrases: Container[str]) -> bool:
    """Return whether the dictionaries know the reading of a word.

    jieba knows most words, and pypinyin has those whose reading is not that of each character.
    What jieba joins by rule is not known: 跑得快.
    """
    if len(word) == 1 or COUNTED_LINES.fullmatch(word):
        return False
    return word in phrases or not JOINED.fullmatch(word)


def _correct(run: str, read: list[str], known: Sequence[bool]) -> None:
    """Replace the readings that ``READINGS`` names, outside known words."""
    for pattern, syllable, _ in READINGS:
        for match in pattern.finditer(run):
            if not known[match.start(1)]:
                read[match.start(1)] = syllable


def _grouped(read: Sequence[str], words: Sequence[str]) -> list[list[str]]:
    """Return the syllables by word."""
    rest = iter(read)
    return [[syllable for _ in word if (syllable := next(rest, ""))] for word in words]


@lru_cache(maxsize=2048)
def _syllable(pinyin: str) -> str:
    """Return the phonemes of a syllable; none of one that misaki does not know."""
    try:
        phonemes = str(_tools()[3](pinyin))
    except (ValueError, AssertionError, IndexError):
        logger.warning("no phonemes for the syllable %r", pinyin)
        return ""
    return phonemes.replace("\u032f", "")  # a mark that the network does not know


def _marks(run: str) -> str:
    marks = (_MARKS.get(char, char) for char in run)
    return "".join(mark for mark in marks if mark in _KNOWN_MARKS)
