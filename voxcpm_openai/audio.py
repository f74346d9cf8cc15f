"""Streaming audio transforms, sample rate and tempo, the duration of a file, and a clip.

The transforms' output does not depend on how the input is divided into chunks.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import soundfile
import soxr

from voxcpm_openai.clips import read_clip_file
from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import InvalidRequest

logger = logging.getLogger(__name__)

_SLOWEST_STAGE = 0.5
"""The lowest factor of ffmpeg's atempo; lower ones take two stages."""


def duration(content: bytes) -> float:
    """Return how long an audio file plays, in seconds; 0.0 if it cannot be decoded."""
    try:
        with av.open(io.BytesIO(content), "r") as container:
            frames = container.decode(container.streams.audio[0])
            return sum((frame.samples / frame.sample_rate for frame in frames), 0.0)
    except (av.error.FFmpegError, IndexError):  # no audio, or no audio stream
        return 0.0


class Resampler:
    """Changes the sample rate (soxr, high quality).  Equal rates leave the samples unchanged."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """``rate_in`` and ``rate_out`` in Hz."""
        self._stream = (
            None
            if rate_in == rate_out
            else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def feed(self, samples: Samples) -> Samples:
        """Take samples at ``rate_in``; return the samples that are ready, at ``rate_out``."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        return out

    def finish(self) -> Samples:
        """Return the remaining samples."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: Samples = self._stream.resample_chunk(empty, last=True)
        return out


class Tempo:
    """Changes the tempo of speech and keeps its pitch (WSOLA: ffmpeg's ``atempo``)."""

    def __init__(self, rate: int, factor: float) -> None:
        """``rate`` in Hz; ``factor`` 0.25 to 100: 2.0 makes it twice as fast."""
        self._rate = rate
        self._samples_in = 0
        self._graph: av.filter.Graph | None = None
        if math.isclose(factor, 1.0):
            return
        stages = [factor] if factor >= _SLOWEST_STAGE else [math.sqrt(factor)] * 2
        graph = av.filter.Graph()
        self._source = graph.add_abuffer(
            sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)
        )
        self._sink = graph.add("abuffersink")
        chain = [self._source, *(graph.add("atempo", f"{f:.6f}") for f in stages), self._sink]
        for left, right in itertools.pairwise(chain):
            left.link_to(right)
        graph.configure()
        self._graph = graph

    def feed(self, samples: Samples) -> Samples:
        """Take samples; return the samples that are ready."""
        if self._graph is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[None],  # (1, n)
            format="flt",
            layout="mono",
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples_in
        self._samples_in += len(samples)
        self._source.push(frame)
        return self._pull()

    def finish(self) -> Samples:
        """Return the remaining samples."""
        if self._graph is None or not self._samples_in:
            return np.zeros(0, np.float32)
        self._source.push(None)
        return self._pull()

    def _pull(self) -> Samples:
        ready = [np.zeros(0, np.float32)]
        while True:
            try:
                frame = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return np.concatenate(ready)
            assert isinstance(frame, av.AudioFrame)
            ready.append(frame.to_ndarray().ravel().astype(np.float32, copy=False))


def read_clip(path: Path, rate: int) -> Samples:
    """Return a voice's clip as mono samples at ``rate`` Hz, or raise InvalidRequest."""
    content = clip_content(path)
    try:
        audio, rate_in = soundfile.read(
            io.BytesIO(content), dtype="float32", always_2d=True
        )  # (n, channels)
    except soundfile.LibsndfileError as error:
        raise InvalidRequest("The voice's clip cannot be decoded.", param="voice") from error
    mono: Samples = np.ascontiguousarray(audio.mean(axis=1), np.float32)  # (n,)
    if not len(mono):
        raise InvalidRequest("The voice's clip is empty.", param="voice")
    resampler = Resampler(rate_in, rate)
    return np.concatenate([resampler.feed(mono), resampler.finish()])


def clip_content(path: Path) -> bytes:
    """Return the bytes of a voice's clip, or log what is wrong with it and raise InvalidRequest."""
    try:
        return read_clip_file(path).content
    except OSError as error:
        logger.warning("the clip of a voice cannot be used: %s", error)
        raise InvalidRequest("The voice's clip cannot be read.", param="voice") from error
