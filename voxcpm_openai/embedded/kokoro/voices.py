"""Kokoro's voices and mixes of them: ``zf_xiaobei``, ``af_bella+af_sky``, ``am_onyx(2)+am_adam``.

A voice of Kokoro is a table with a style for each number of phonemes, 1 to 510.  ``voices.npz``
holds every fourth row of it in float16, and rows between are interpolated (``tools/
make_kokoro_voices.py`` makes the file).  The license of the voices is in ``LICENSE-voices.txt``.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest

STEP = 4
"""Rows of Kokoro's tables from one row of ours to the next."""
ROWS, STYLE = 128, 256
"""The shape of a table."""
MOST = 8
"""The most voices in a mix."""

_PART = re.compile(r"\s*([a-z]{2}_[a-z0-9]+)\s*(?:\(\s*(\d{1,4}(?:\.\d{1,4})?)\s*\))?\s*")
_LIKE = re.compile(r"\s*[a-z]{2}_[a-z0-9]+\s*[+(]|[abez][fm]_[a-z0-9]+$")
_LANGUAGES = {"z": "zh", "e": "es"}
"""By the first letter of an id; the others are English."""

Mix = tuple[tuple[str, float], ...]
"""Ids of voices and their weights, which have the sum 1."""


@cache
def gains() -> dict[str, float]:
    """Return the gains, in dB, that make the voices equally loud, by their ids in order."""
    file = resources.files(__package__) / "gains.json"
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def ids() -> tuple[str, ...]:
    """Return the ids of all voices."""
    return tuple(gains())


def looks_like(name: str) -> bool:
    """Return whether a name is meant as a voice or mix of Kokoro, known or not."""
    return _LIKE.match(name) is not None


@lru_cache(maxsize=256)
def parse(name: str) -> Mix:
    """Return the voices of a mix.  Raises InvalidRequest for what is not one."""
    parts = name.split("+")
    if len(parts) > MOST:
        raise _wrong(name, f"a mix has at most {MOST} voices.")
    weights: dict[str, float] = {}
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            raise _wrong(name, "write a mix as af_bella+af_sky or af_bella(2)+af_sky(1).")
        id_, weight = found[1], float(found[2] or 1)
        if id_ not in gains():
            raise _wrong(name, f"Kokoro has no voice {id_!r}; it has {', '.join(ids())}.")
        weights[id_] = weights.get(id_, 0.0) + weight
    total = sum(weights.values())
    if not total:
        raise _wrong(name, "the weights of a mix must not all be 0.")
    return tuple((id_, weight / total) for id_, weight in weights.items() if weight)


def language(name: str) -> str:
    """Return the language of most of a mix, ``zh``, ``es`` or ``en``.  Raises InvalidRequest."""
    weights = dict.fromkeys([*_LANGUAGES.values(), "en"], 0.0)
    for id_, weight in parse(name):
        weights[_LANGUAGES.get(id_[0], "en")] += weight
    return max(weights, key=lambda code: weights[code])


def british(name: str) -> bool:
    """Return whether most of a mix speaks British English.  Raises InvalidRequest."""
    return sum(weight for id_, weight in parse(name) if id_[0] == "b") >= 0.5


def gain(name: str) -> float:
    """Return the factor for the samples of a mix.  Raises InvalidRequest."""
    level = sum(weight * gains()[id_] for id_, weight in parse(name))
    return float(10 ** (level / 20))


def style(name: str, phonemes: int) -> Samples:
    """Return the style of a mix for a number of phonemes, shape (1, 256).

    Raises InvalidRequest for an unknown voice.
    """
    place = min(max(phonemes - 1, 0) / STEP, ROWS - 1)
    low = int(place)
    high, part = min(low + 1, ROWS - 1), np.float32(place - low)
    total = np.zeros((1, STYLE), np.float32)
    for id_, weight in parse(name):
        low_row, high_row = _table(id_)[[low, high]].astype(np.float32)
        total += np.float32(weight) * ((1 - part) * low_row + part * high_row)
    return total


@cache
def _table(id_: str) -> npt.NDArray[np.float16]:
    """Return the styles of a voice, shape (128, 256)."""
    with (
        (resources.files(__package__) / "voices.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as tables,
    ):
        table: npt.NDArray[np.float16] = tables[id_]
    return table


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"Voice {name!r}: {why}", param="voice")
