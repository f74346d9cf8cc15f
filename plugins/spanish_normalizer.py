"""Spanish words for numbers and signs, for engines that want words.

The extra ``spanish`` installs what it needs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from voxcpm_openai import Normalizer, Settings, hookimpl


def start(_settings: Settings) -> Callable[[str], str]:
    """Load the rules."""
    from voxcpm_openai.spanish.words import to_words

    return to_words


@hookimpl
def register_normalizers() -> list[Normalizer]:
    """Offer the normalizer of Spanish, if the package for its numbers is installed."""
    if importlib.util.find_spec("num2words") is None:
        return []
    return [Normalizer("es", start)]
