"""Alignment: when each character of a text is spoken, in the shape of ElevenLabs' API.

An engine tells where a segment begins and ends, not where a word does: the characters of a segment
are spread evenly over its duration.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TypedDict

from voxcpm_openai.speech import Speech


class Times(TypedDict):
    """When each character begins and ends, in seconds from the start of the audio."""

    characters: list[str]
    character_start_times_seconds: list[float]
    character_end_times_seconds: list[float]


class TimedAudio(TypedDict):
    """Audio, and the alignment of the segments that end in it: as written, and as spoken."""

    audio_base64: str
    alignment: Times | None
    normalized_alignment: Times | None


def whole(speech: Speech) -> Iterator[bytes]:
    """Yield one JSON object with all audio and the alignment of the whole text."""
    audio = b"".join(speech)
    yield _line(speech, audio, list(speech.spans))


def lines(speech: Speech) -> Iterator[bytes]:
    """Yield a JSON object a line: audio as it is made, and each segment's alignment at its end."""
    told: set[int] = set()
    for chunk in speech:
        ended = [index for index in speech.spans if index < speech.segment and index not in told]
        told.update(ended)
        yield _line(speech, chunk, ended)
    yield _line(speech, b"", [index for index in speech.spans if index not in told])


def times(texts: Sequence[tuple[str, float, float]]) -> Times:
    """Return the alignment of segments: the text of each, its start and its end in seconds."""
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for text, start, end in texts:
        step = (end - start) / max(1, len(text))
        characters += text
        starts += (round(start + step * n, 3) for n in range(len(text)))
        ends += (round(start + step * (n + 1), 3) for n in range(len(text)))
    return {
        "characters": characters,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }


def _line(speech: Speech, audio: bytes, segments: Sequence[int]) -> bytes:
    written = [speech.output.written[index] for index in segments]
    spoken = [speech.utterance.segments[index].text for index in segments]
    line: TimedAudio = {
        "audio_base64": base64.b64encode(audio).decode("ascii"),
        "alignment": _alignment(speech, segments, written),
        "normalized_alignment": _alignment(speech, segments, spoken),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _alignment(speech: Speech, segments: Sequence[int], texts: Sequence[str]) -> Times | None:
    if not segments:
        return None
    last = len(speech.output.written) - 1
    return times(
        [
            (text if index == last else f"{text}{space_after(text)}", *speech.spans[index])
            for index, text in zip(segments, texts, strict=True)
        ]
    )


def space_after(text: str) -> str:
    """Return what is written between a text and the next one: nothing after a wide letter."""
    return "" if unicodedata.east_asian_width(text[-1:] or " ") in "WF" else " "
