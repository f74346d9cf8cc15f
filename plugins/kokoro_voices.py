"""Kokoro's own voices by their ids, such as ``af_heart``, and mixes: ``af_bella(2)+af_sky``."""

from __future__ import annotations

from collections.abc import Callable

from voxcpm_openai import Voice, hookimpl
from voxcpm_openai.embedded.kokoro import voices

KINDS = {"a": "American English", "b": "British English", "z": "Mandarin", "e": "Spanish"}
SEXES = {"f": "female", "m": "male"}
LICENSE = "Apache-2.0"


def voice_of(id_: str) -> Voice:
    """Return the voice of an id or a mix.  Raises InvalidRequest for a wrong one."""
    language = voices.language(id_)
    first = voices.parse(id_)[0][0]
    kind = "a mix" if "+" in id_ or "(" in id_ else SEXES.get(first[1], "a voice")
    return Voice(
        id_,
        id_,
        description=f"Kokoro, {KINDS.get(first[0], language)}, {kind}",
        language=language,
        license=LICENSE,
        provenance="Kokoro-82M v1.0",
        options={"kokoro": {language: id_}},
    )


@hookimpl
def register_voice_finders() -> list[Callable[[str], Voice | None]]:
    """Offer the ids and mixes, where the network is installed; they are not listed."""
    return [lambda id_: voice_of(id_) if voices.looks_like(id_) else None]
