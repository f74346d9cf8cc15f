"""English words for numbers, signs and abbreviations, for engines that want words."""

from __future__ import annotations

from collections.abc import Callable

from voxcpm_openai import Normalizer, Settings, hookimpl


def start(_settings: Settings) -> Callable[[str], str]:
    """Load the rules, which takes some tenths of a second."""
    from voxcpm_openai.english.words import to_words

    to_words("It costs $5.")  # compiles what is left
    return to_words


@hookimpl
def register_normalizers() -> list[Normalizer]:
    """Offer the English normalizer."""
    return [Normalizer("en", start)]
