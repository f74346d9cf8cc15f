"""A Pipecat pipeline of one speech service, driven as a voice bot drives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

SECONDS = 30
"""How long a turn may take."""


class Recorder(FrameProcessor):
    """Keeps the frames that pass in a direction, and tells when one does."""

    def __init__(
        self, direction: FrameDirection, frames: list[Frame], news: asyncio.Condition
    ) -> None:
        super().__init__()
        self._recorded, self._frames, self._news = direction, frames, news

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is self._recorded:
            async with self._news:
                self._frames.append(frame)
                self._news.notify_all()
        await self.push_frame(frame, direction)


class Bot:
    """A running pipeline: what the model writes goes in, frames of speech come out."""

    def __init__(self, service: TTSService, rate: int) -> None:
        self.frames: list[Frame] = []
        self._news = asyncio.Condition()
        errors, speech = (
            Recorder(direction, self.frames, self._news)
            for direction in (FrameDirection.UPSTREAM, FrameDirection.DOWNSTREAM)
        )
        self._worker = PipelineWorker(
            Pipeline([errors, service, speech]),
            params=PipelineParams(audio_out_sample_rate=rate),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        started = asyncio.Event()

        @self._worker.event_handler("on_pipeline_started")
        async def on_pipeline_started(worker: PipelineWorker, frame: Frame) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        task = asyncio.create_task(runner.run())
        await asyncio.wait_for(started.wait(), SECONDS)
        yield
        await self._worker.queue_frame(EndFrame())
        await asyncio.wait_for(task, SECONDS)

    async def say(self, tokens: Iterable[str]) -> Self:
        """Run, and say one turn."""
        async with self.running():
            await self.write(tokens)
            await self.until_silent()
        return self

    async def write(self, tokens: Iterable[str]) -> None:
        """Send a whole turn of a model."""
        await self._worker.queue_frame(LLMFullResponseStartFrame())
        for token in tokens:
            await self._worker.queue_frame(LLMTextFrame(token))
        await self._worker.queue_frame(LLMFullResponseEndFrame())

    async def interrupt(self) -> None:
        """Interrupt the bot as a person does, and forget what it said before."""
        await self._worker.queue_frame(InterruptionFrame())
        await self.until(InterruptionFrame)
        self.frames.clear()

    async def until(self, kind: type[Frame]) -> None:
        """Wait for a frame of a kind, also one that has passed."""

        def seen() -> bool:
            return any(isinstance(frame, kind) for frame in self.frames)

        async def find() -> None:
            async with self._news:
                await self._news.wait_for(seen)

        await asyncio.wait_for(find(), SECONDS)

    async def until_silent(self) -> None:
        """Wait for the end of a turn."""
        await self.until(TTSStoppedFrame)

    @property
    def pcm(self) -> bytes:
        return b"".join(frame.audio for frame in self.frames if isinstance(frame, TTSAudioRawFrame))

    @property
    def rates(self) -> set[int]:
        return {frame.sample_rate for frame in self.frames if isinstance(frame, TTSAudioRawFrame)}

    @property
    def words(self) -> list[str]:
        """The words that were told, as they were said."""
        return [frame.text for frame in self._told]

    @property
    def word_times(self) -> list[float]:
        """When each word begins, in seconds from the first one."""
        times = [frame.pts for frame in self._told]
        assert None not in times
        return [(time - times[0]) / 1e9 for time in times]

    @property
    def _told(self) -> list[TTSTextFrame]:
        return [frame for frame in self.frames if isinstance(frame, TTSTextFrame)]

    @property
    def errors(self) -> list[str]:
        return [frame.error for frame in self.frames if isinstance(frame, ErrorFrame)]
