"""The language of a text, as far as its script tells it."""

from __future__ import annotations

import re

# Script -> the language that is meant where nothing else is known.  Kana decides before Chinese.
_SCRIPTS = tuple(
    (language, re.compile(f"[{chars}]"))
    for language, chars in (
        ("ja", "\u3041-\u30ff\uff66-\uff9f"),
        ("ko", "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"),
        ("zh", "\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"),
        ("ru", "\u0400-\u052f"),
        ("ar", "\u0600-\u06ff\u0750-\u077f"),
        ("he", "\u0590-\u05ff"),
        ("hi", "\u0900-\u097f"),
        ("th", "\u0e00-\u0e7f"),
    )
)
# A single Greek letter is a symbol.
_SCRIPTS += (("el", re.compile("[\u0370-\u03ff\u1f00-\u1fff](?=[\u0370-\u03ff\u1f00-\u1fff])")),)
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")

LANGUAGES = {
    name: code
    for code, names in {
        "ar": "arabic", "bg": "bulgarian", "bn": "bengali", "ca": "catalan", "cs": "czech",
        "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
        "fa": "persian", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi",
        "hr": "croatian", "hu": "hungarian", "id": "indonesian", "it": "italian",
        "ja": "japanese", "km": "khmer", "ko": "korean", "lo": "lao", "ms": "malay",
        "my": "burmese", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
        "ro": "romanian", "ru": "russian", "sk": "slovak", "sv": "swedish", "sw": "swahili",
        "ta": "tamil", "th": "thai", "tl": "tagalog filipino", "tr": "turkish",
        "uk": "ukrainian", "ur": "urdu", "vi": "vietnamese", "yue": "cantonese",
        "zh": "chinese mandarin",
    }.items()
    for name in names.split()
}  # fmt: skip
"""English names of languages, in lower case, and their ISO 639 codes."""


def base_language(code: str) -> str:
    """Return the language of a code: "en-US" is "en"."""
    return code.lower().partition("-")[0]


def language_of(text: str, default: str) -> str:
    """Return the ISO 639-1 code of a text's language, or ``default`` where its script is Latin.

    The script of most letters decides; a wide letter counts as three, since it is a syllable.
    """
    counts = {language: len(script.findall(text)) for language, script in _SCRIPTS}
    if counts["ja"]:
        counts["ja"] += counts.pop("zh")
    language = max(counts, key=lambda code: counts[code])
    weight = counts[language] * (3 if language in ("ja", "ko", "zh") else 1)
    return language if weight > len(_LATIN.findall(text)) else default
