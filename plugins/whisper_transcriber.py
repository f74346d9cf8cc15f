"""The transcriber ``whisper``: faster-whisper, on the CPU, for clips sent without their words."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxcpm_openai import Resampler, Samples, Settings, Transcriber, TranscriberSpec, hookimpl

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

RATE = 16_000
"""Hz: what the model hears."""
FILES = ("config.json", "model.bin", "tokenizer.json")
"""Without one of them faster-whisper would ask the hub."""
PROMPTS = {"zh": "以下是普通话的句子。"}
"""What makes it write simplified characters, and punctuation."""


@hookimpl
def register_transcribers() -> list[TranscriberSpec]:
    """Give the transcriber."""
    return [TranscriberSpec("whisper", start, available)]


def available(settings: Settings) -> str | None:
    """Return None, or what is missing: the package, or a model."""
    if importlib.util.find_spec("faster_whisper") is None:
        return (
            "the package faster-whisper is missing; install it with "
            "pip install 'voxcpm-openai[transcribe]'."
        )
    model = settings.transcriber_model
    folder = find(model)
    if folder is None:
        return (
            f"VOXCPM_TRANSCRIBER_MODEL = {model!r}: its files are not on this machine. Fetch them "
            f"with `hf download {model}`, or name a folder that has them."
        )
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        return f"VOXCPM_TRANSCRIBER_MODEL = {model!r}: {folder} lacks {', '.join(missing)}."
    return None


def find(model: str) -> Path | None:
    """Return the model's folder: the one named, or the hub's copy on this disk."""
    if (folder := Path(model).expanduser()).is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (OSError, ValueError):  # not there; no id of the hub
        return None


def start(settings: Settings) -> Transcriber:
    """Load the model: seconds, and once its file's size in memory."""
    from faster_whisper import WhisperModel

    folder = find(settings.transcriber_model)
    assert folder is not None
    return Whisper(
        WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=settings.threads)
    )


class Whisper:
    """A loaded model; it works on one clip at a time and lets the others wait."""

    def __init__(self, model: WhisperModel) -> None:
        self._model = model

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        """Return the words; a language that the model does not know is guessed."""
        resampler = Resampler(rate, RATE)
        parts, _ = self._model.transcribe(
            np.concatenate([resampler.feed(samples), resampler.finish()]),
            language=language if language in self._model.supported_languages else None,
            initial_prompt=PROMPTS.get(language),
            condition_on_previous_text=False,  # which makes it repeat itself
        )
        return "".join(part.text for part in parts)
