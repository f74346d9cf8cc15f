"""Previews of voices: the clip, or synthesized and cached; and the candidates of a design."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxcpm_openai.checked_stream import CheckedStream
from voxcpm_openai.clips import read_clip_file
from voxcpm_openai.contracts import Engine, Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import ClientLeft, InvalidRequest, UnknownVoice
from voxcpm_openai.files import replaced
from voxcpm_openai.text.language import base_language
from voxcpm_openai.voices.intake.clip import Clip
from voxcpm_openai.voices.library import previewed_by_clip
from voxcpm_openai.voices.store.candidates import Design

logger = logging.getLogger(__name__)

SEED = 1
"""Every preview is synthesized with this seed, so that it is reproducible."""
FLAC = "audio/flac"
SENTENCES = {
    "en": (
        "The morning was quiet and bright, and a light wind moved through the trees "
        "while we walked slowly down to the river."
    ),
    "es": (
        "La mañana estaba tranquila y clara, y un viento suave movía los árboles mientras "
        "caminábamos despacio hacia el río."
    ),
    "zh": "清晨的街道很安静，微风吹过树梢，我们沿着小路慢慢走到河边。",
}
"""One sentence of about six seconds for each language."""

MAX_PREVIEWS = 200
"""The most spoken previews that are kept, of about 300 kB each; further ones replace the oldest."""

CANDIDATES = 3
"""How many candidates are made from a description."""


class Preview(NamedTuple):
    """The bytes of an audio file and its media type."""

    content: bytes
    media_type: str


def preview_segments(language: str) -> tuple[Segment, ...]:
    """Return the sentence for a language code such as ``zh-CN``; English if there is none."""
    code = base_language(language)
    code = code if code in SENTENCES else "en"
    return (Segment(SENTENCES[code], language=code),)


def design_utterances(design: Design, count: int = CANDIDATES) -> list[Utterance]:
    """Return ``count`` utterances, one per candidate: one sentence, each with its own seed."""
    voice = Voice("", design.name, description=design.description, language=design.language)
    return [
        Utterance(preview_segments(design.language), voice, seed=secrets.randbits(31))
        for _ in range(count)
    ]


class PreviewCache:
    """The previews of voices.  Spoken ones are kept as FLAC files under the data folder."""

    def __init__(self, root: Path) -> None:
        """``root``: the data folder."""
        self._folder = root / "samples"

    def get(self, voice: Voice, engine: str, synthesize: Callable[[Utterance], bytes]) -> Preview:
        """Return a voice's preview on the engine of this name.

        ``synthesize`` makes a FLAC file of the sentence; it is called if the voice has no clip to
        show and no cached preview.  Raises UnknownVoice if the voice is deleted meanwhile, and
        what ``synthesize`` raises.
        """
        if not previewed_by_clip(voice, engine):
            return Preview(self._synthesized(voice, engine, synthesize), FLAC)
        assert voice.audio is not None
        try:
            return Preview(*read_clip_file(voice.audio))
        except FileNotFoundError as error:
            raise UnknownVoice(f"The voice '{voice.id}' has no clip any more.") from error
        except OSError as error:
            logger.warning("the clip of the voice %r cannot be used: %s", voice.id, error)
            raise UnknownVoice(f"The voice '{voice.id}' has no clip that can be read.") from error

    def _synthesized(
        self, voice: Voice, engine: str, synthesize: Callable[[Utterance], bytes]
    ) -> bytes:
        utterance = Utterance(preview_segments(voice.language), voice, seed=SEED)
        path = self._folder / f"{_cache_key(utterance, engine)}.flac"
        try:
            return read_clip_file(path).content
        except FileNotFoundError:  # not cached yet
            pass
        except OSError as error:
            logger.warning("a cached preview is made anew: %s", error)
        content = synthesize(utterance)
        try:
            self._write(path, content)
        except OSError as error:  # the preview can be returned all the same
            logger.warning("the preview %s cannot be cached: %s", path, error.strerror)
        return content

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are private
        self._folder.mkdir(exist_ok=True)
        with replaced(path) as draft:
            draft.write_bytes(content)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Delete the previews beyond the limit, and what killed writers have left."""
        found = [(path.lstat().st_mtime_ns, path) for path in self._folder.iterdir()]
        for _, path in sorted(found)[: max(0, len(found) - MAX_PREVIEWS)]:
            path.unlink(missing_ok=True)


def _cache_key(utterance: Utterance, engine: str) -> str:
    """Return a hash of everything that changes the sound: engine, voice settings and text."""
    voice = utterance.voice
    facts = [
        engine,
        voice.id,
        dict(voice.options.get(engine, {})),
        voice.description,
        [segment.text for segment in utterance.segments],
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


class BatchSynthesis:
    """Synthesizes several utterances side by side; the first error ends them all."""

    def __init__(self, engine: Engine, utterances: Sequence[Utterance], concurrency: int) -> None:
        """``concurrency``: how many are synthesized at a time."""
        self.finished: list[Utterance] = []
        """Those whose audio is made."""
        self._engine = engine
        self._utterances = utterances
        self._concurrency = concurrency
        self._open: set[CheckedStream] = set()
        self._cancelled = False
        self._lock = threading.Lock()

    def synthesize_all(self) -> list[tuple[Utterance, Clip]]:
        """Return each utterance with its audio.

        Raises RequestError if the engine refuses or fails, and ClientLeft after ``cancel``.
        """
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="preview") as pool:
            futures = [pool.submit(self._synthesize, u) for u in self._utterances]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            errors = [error for future in done if (error := future.exception()) is not None]
            if errors:
                self.cancel()  # the other results are not needed
                raise errors[0]
        return [(u, f.result()) for u, f in zip(self._utterances, futures, strict=True)]

    def cancel(self) -> None:
        """End the work from any thread."""
        with self._lock:
            self._cancelled = True
            streams = list(self._open)
        for stream in streams:
            stream.close()

    def _synthesize(self, utterance: Utterance) -> Clip:
        if self._cancelled:
            raise ClientLeft
        stream = CheckedStream(self._engine, utterance)
        with self._lock:
            self._open.add(stream)
            cancelled = self._cancelled
        try:
            parts: list[Samples] = [] if cancelled else [chunk.samples for chunk in stream]
        finally:
            with self._lock:
                self._open.discard(stream)
            stream.close()
        if self._cancelled:
            raise ClientLeft
        if not any(map(len, parts)):
            raise InvalidRequest("The engine produced no audio.", param="voice")
        self.finished.append(utterance)
        return Clip(np.concatenate(parts), self._engine.capabilities.sample_rate)
