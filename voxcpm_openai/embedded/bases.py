"""hibari's further voices, where somebody has installed their files.

hibari has five voices, each a network of its own; its package carries one.  A voice with
``options.hibari.base = "fenrir"`` is spoken by that network as it is if its file is in
``$HIBARI_HOME`` (or hibari's cache folder) and has the checksum that hibari expects; otherwise by
the network in the package, in the voice's shape.  Nothing is downloaded.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxcpm_openai.contracts import Voice
from voxcpm_openai.embedded.shape import BASE, LIMITS, NAME, shape_of, trim
from voxcpm_openai.errors import InvalidRequest

logger = logging.getLogger(__name__)

MEASURED = "We were away all year long, and nobody had closed the door."
"""The networks are made equally loud on this sentence."""


class Bases:
    """The network in the package, and those that are installed beside it.  Loads them all."""

    def __init__(self, hibari: Any) -> None:
        """``hibari``: a loaded ``hibari.Hibari``, the default."""
        self._default = hibari
        self._others: dict[str, tuple[Any, float]] = {}  # and gains, in dB
        grammars = {False: hibari.g2p}  # by whether they are British
        for name, path in installed().items():
            other = load(name, path, grammars)
            gain = np.clip(level(hibari) - level(other), *LIMITS["gain"])
            self._others[name] = (other, float(gain))
            logger.info("hibari's voice %s is used, from %s", name, path)

    @property
    def networks(self) -> list[Any]:
        """All of them, the default first."""
        return [self._default, *(hibari for hibari, _ in self._others.values())]

    def speaker(self, voice: Voice) -> tuple[Any, Voice]:
        """Return the network that speaks a voice, and the voice with the options for it.

        Raises InvalidRequest for options that are not valid.
        """
        from hibari.voices import VOICES

        options = voice.options.get(NAME, {})
        base = options.get(BASE)
        if base is not None and base not in VOICES:
            raise InvalidRequest(
                f"Voice {voice.id!r}: options.{NAME}.{BASE} = {base!r}: "
                f"there are {', '.join(VOICES)}.",
                param="voice",
            )
        if base not in self._others:
            return self._default, voice
        shape_of(voice)  # the options that are not used are checked all the same
        hibari, gain = self._others[base]
        return hibari, replace(voice, options={**voice.options, NAME: {"gain": gain}})


def installed() -> dict[str, Path]:
    """Return the files of hibari's further voices that are there and have the right checksum."""
    from hibari.voices import VOICES, cache_dir, sha256_of

    found = {}
    for name, facts in VOICES.items():
        path = Path(cache_dir()) / facts["file"]
        if facts.get("bundled") or not path.is_file():
            continue
        if sha256_of(path) == facts["sha256"]:
            found[name] = path
        else:
            logger.warning("%s is not hibari's voice %s: wrong checksum; not used", path, name)
    return found


def load(name: str, path: Path, grammars: dict[bool, Any]) -> Any:
    """Load a voice of hibari and run it once; share the pronunciations of its accent."""
    from hibari import Hibari
    from hibari.voices import VOICES

    british = bool(VOICES[name]["british"])
    hibari = Hibari(voice=name, model=str(path), threads=1, g2p=grammars.get(british))
    grammars[british] = hibari.g2p
    hibari.g2p.oov("hibari")  # loaded at first use
    return hibari


def level(hibari: Any) -> float:
    """Return how loud a network speaks, in dB."""
    return float(10 * np.log10(np.mean(trim(hibari(MEASURED, seed=0)) ** 2)))
