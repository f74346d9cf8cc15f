"""The network of Kokoro, and a stand-in for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from voxcpm_openai.embedded.kokoro.synthesizer import Kokoro

HELLO = "ni↓xau↓, ʨʰiŋ↓ wən↘!"
"""Ni hao, qing wen!"""


class FakeNetwork:
    """A tone of 50 ms for each phoneme, between silences of 0.3 s."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def __call__(self, ids: list[int], style: np.ndarray, speed: float) -> np.ndarray:
        assert style.shape == (1, 256)
        self.lengths.append(len(ids))
        time = np.arange(round(1_200 * len(ids) / speed)) / 24_000
        tone = 0.3 * np.sin(2 * np.pi * 200 * time)
        return np.pad(tone, 7_200).astype(np.float32)


class FakeTimer:
    """A timer that fires when a test says so."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds = seconds
        self.fire = call
        self.state = "new"

    def start(self) -> None:
        self.state = "waits"

    def cancel(self) -> None:
        self.state = "cancelled"


class Fakes:
    """A synthesizer with stand-ins; every look at the clock takes ``step`` seconds."""

    def __init__(self, *, idle: float | None = None, step: float = 0.1) -> None:
        self.networks: list[FakeNetwork] = []
        self.timers: list[FakeTimer] = []
        self.now = 0.0
        self.step = step
        self.kokoro = Kokoro(idle=idle, timer=self._timer, clock=self._clock, loader=self._load)

    def _timer(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(seconds, call))
        return self.timers[-1]

    def _clock(self) -> float:
        self.now += self.step
        return self.now

    def _load(self, folder: Path | None, threads: int) -> FakeNetwork:
        self.networks.append(FakeNetwork())
        return self.networks[-1]
