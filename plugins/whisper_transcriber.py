"""The transcriber ``whisper``: faster-whisper on the CPU, for clips without a transcript."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxcpm_openai import (
    Resampler,
    Samples,
    Settings,
    Transcriber,
    TranscriberSpec,
    hookimpl,
    plugin_settings,
    setting,
)

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

RATE = 16_000
"""Hz: the model's input rate."""
FILES = ("config.json", "model.bin", "tokenizer.json")
"""If one of them is missing, faster-whisper would download it."""
PROMPTS = {"zh": "以下是普通话的句子。"}
"""Initial prompts; this one gives simplified characters and punctuation."""


@plugin_settings("transcriber")
class WhisperSettings:
    """The model."""

    model: str = setting(
        "Systran/faster-whisper-small",
        "Transcribes clips that are added without a transcript: a faster-whisper model, as a "
        "folder or as the id of one that was fetched from the hub.",
    )


@hookimpl
def register_transcribers() -> list[TranscriberSpec]:
    """Return the transcriber."""
    return [TranscriberSpec("whisper", start, unavailable_reason, settings=WhisperSettings)]


def unavailable_reason(settings: Settings) -> str | None:
    """Return what is missing, the package or the model, or None."""
    if importlib.util.find_spec("faster_whisper") is None:
        return (
            "the package faster-whisper is missing; install it with "
            "pip install 'voxcpm-openai[transcribe]'."
        )
    model = settings.of(WhisperSettings).model
    folder = find(model)
    if folder is None:
        return (
            f"VOXCPM_TRANSCRIBER_MODEL = {model!r}: it is not on this machine. Download it "
            f"with `hf download {model}`, or set a folder that has it."
        )
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        return f"VOXCPM_TRANSCRIBER_MODEL = {model!r}: {folder} lacks {', '.join(missing)}."
    return None


def find(model: str) -> Path | None:
    """Return the model's folder: the one that is set, or that in the hub's cache; or None."""
    if (folder := Path(model).expanduser()).is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (OSError, ValueError):  # not downloaded, or not a hub id
        return None


def start(settings: Settings) -> Transcriber:
    """Load the model.  Takes seconds."""
    from faster_whisper import WhisperModel

    folder = find(settings.of(WhisperSettings).model)
    assert folder is not None
    return Whisper(
        WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=settings.threads)
    )


class Whisper:
    """A loaded model."""

    def __init__(self, model: WhisperModel) -> None:
        self._model = model

    def transcribe(self, samples: Samples, rate: int, language: str) -> str:
        """Return the transcript; a language that the model does not support is detected."""
        resampler = Resampler(rate, RATE)
        segments, _ = self._model.transcribe(
            np.concatenate([resampler.feed(samples), resampler.finish()]),
            language=language if language in self._model.supported_languages else None,
            initial_prompt=PROMPTS.get(language),
            condition_on_previous_text=False,  # it would repeat itself
        )
        return "".join(segment.text for segment in segments)
