"""The normalizers of all languages, each started when it is first needed."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping

from voxcpm_openai.contracts import Normalizer
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.language import base_language

logger = logging.getLogger(__name__)

Words = Callable[[str], str]
"""Turns the text of a segment into words."""

_NO_LETTER = re.compile(r"[^\w\s.,;:!?'’-]|[\d_]")


class Normalizers:
    """Finds the normalizer of a language.  Any thread may use it.

    A normalizer that fails never fails a request: what it cannot read is read as plain letters.
    """

    def __init__(self, specs: Mapping[str, Normalizer], settings: Settings) -> None:
        self._specs = specs
        self._settings = settings
        self._started: dict[str, Words] = {}
        self._lock = threading.Lock()

    def __contains__(self, language: str) -> bool:
        return base_language(language) in self._specs

    def get(self, language: str) -> Words | None:
        """Return what makes words of a language, or None if nothing does."""
        code = base_language(language)
        if code not in self._specs:
            return None
        with self._lock:
            if code not in self._started:
                self._started[code] = self._start(self._specs[code])
            return self._started[code]

    def start(self, languages: Iterable[str]) -> None:
        """Start the normalizers of some languages ahead of the first request."""
        for language in languages:
            self.get(language)

    def _start(self, spec: Normalizer) -> Words:
        try:
            words = spec.start(self._settings)
        except (Exception, SystemExit):  # a plugin may fail in any way
            logger.exception("the normalizer of %r does not start", spec.language)
            return _plain_letters
        return lambda text: _guarded(words, spec.language, text)


def _guarded(words: Words, language: str, text: str) -> str:
    try:
        result: object = words(text)
    except (Exception, SystemExit):  # a plugin may fail in any way
        logger.exception("the normalizer of %r fails at %d characters", language, len(text))
        return _plain_letters(text)
    if isinstance(result, str):
        return result
    logger.error("the normalizer of %r returns %r, not a string", language, type(result).__name__)
    return _plain_letters(text)


def _plain_letters(text: str) -> str:
    """Return the letters and marks of pauses of a text."""
    return " ".join(_NO_LETTER.sub(" ", text).split())
