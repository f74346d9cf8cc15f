"""Stateful changes of sound, chunk by chunk: another rate, another tempo.

Both give the same samples however the input is cut.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import av
import av.error
import numpy as np
import soxr

from voxcpm_openai.contracts import Samples

_SLOWEST_STAGE = 0.5
"""ffmpeg's atempo takes factors of 0.5 and more; slower ones are made in two stages."""


class Resampler:
    """Changes the sample rate (soxr, high quality).  Equal rates pass through untouched."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """``rate_in`` and ``rate_out`` in Hz."""
        self._stream = (
            None
            if rate_in == rate_out
            else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def feed(self, samples: Samples) -> Samples:
        """Take samples at ``rate_in``; return those that are ready at ``rate_out``."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        return out

    def finish(self) -> Samples:
        """Return what is left."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: Samples = self._stream.resample_chunk(empty, last=True)
        return out


class Tempo:
    """Makes speech faster or slower and keeps its pitch (WSOLA: ffmpeg's ``atempo``)."""

    def __init__(self, rate: int, factor: float) -> None:
        """``rate`` in Hz; ``factor`` 0.25 to 100: 2.0 makes it twice as fast."""
        self._rate = rate
        self._taken = 0
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
        """Take samples; return those that are ready."""
        if self._graph is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[None],  # (1, n)
            format="flt",
            layout="mono",
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._taken
        self._taken += len(samples)
        self._source.push(frame)
        return self._pull()

    def finish(self) -> Samples:
        """Return what is left."""
        if self._graph is None or not self._taken:
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
