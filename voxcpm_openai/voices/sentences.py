"""What a voice says to be heard: one sentence of about six seconds in each language."""

from __future__ import annotations

from voxcpm_openai.contracts import Segment

SENTENCES = {
    "en": (
        "The morning was quiet and bright, and a light wind moved through the trees "
        "while we walked slowly down to the river."
    ),
    "zh": "清晨的街道很安静，微风吹过树梢，我们沿着小路慢慢走到河边。",
}


def sentence(language: str) -> tuple[Segment, ...]:
    """Return the sentence in a language (a code such as ``zh-CN``); English where there is none."""
    return (Segment(SENTENCES.get(language.lower().partition("-")[0], SENTENCES["en"])),)
