"""Chinese characters for numbers and signs, for engines that want words."""

from __future__ import annotations

from collections.abc import Callable

from voxcpm_openai import Normalizer, Settings, hookimpl


def start(_settings: Settings) -> Callable[[str], str]:
    """Load the rules."""
    from voxcpm_openai.chinese.words import to_words

    return to_words


@hookimpl
def register_normalizers() -> list[Normalizer]:
    """Offer the normalizer of Mandarin."""
    return [Normalizer("zh", start)]
