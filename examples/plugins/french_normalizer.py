"""A normalizer in one file: French words for single digits and a few signs."""

import re

from voxcpm_openai import Normalizer, hookimpl

NAMES = "zéro un deux trois quatre cinq six sept huit neuf".split()
WORDS = {str(digit): name for digit, name in enumerate(NAMES)}
WORDS |= {"%": "pour cent", "&": "et", "€": "euros"}


def to_words(text):
    """Return the text of a segment as words."""
    words = re.sub(r"[0-9%&€]", lambda sign: f" {WORDS[sign[0]]} ", text)
    return re.sub(r" +([.,])", r"\1", " ".join(words.split()))


@hookimpl
def register_normalizers():
    """Offer it for texts in French."""
    return [Normalizer("fr", lambda settings: to_words)]
