"""A speaker: one session, said in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread

from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.metrics.speech_meter import SpeechMeter
from voxcpm_openai.session import (
    AudioMade,
    PassageEnded,
    PassageStarted,
    SessionEnded,
    SessionEvent,
    SessionFailed,
    SpeechSession,
)
from voxcpm_openai.web.sockets.channel import Channel

logger = logging.getLogger(__name__)

EventHandler = Callable[[SessionEvent], None]
"""Gets each event of a session, in the thread that says it."""
FAILED = 1011
"""The close code of an internal error."""


class Speaker(Thread):
    """Hands each event of a session to a protocol, which sends it."""

    def __init__(
        self,
        session: SpeechSession,
        meter: SpeechMeter,
        handle: EventHandler,
        channel: Channel,
        leave: Callable[[Speaker], None],
    ) -> None:
        """``leave``: called at the end."""
        super().__init__(name="speaker", daemon=True)
        self.session = session
        self._meter = meter
        self._handle = handle
        self._channel = channel
        self._leave = leave

    def run(self) -> None:
        """Say all of the session; end it if the client has left."""
        begun = False
        try:
            for event in self.session:
                begun = True
                self._measure(event)
                self._handle(event)
        except ClientLeft:
            pass
        except Exception as error:
            logger.exception("a session failed")
            self._meter.fail(error)
            self._channel.close(FAILED, "The server failed; its log says why.")
        finally:
            self.session.close()
            self._leave(self)
            if begun:
                self._meter.close()

    def _measure(self, event: SessionEvent) -> None:
        """Record an event, before the client knows of it.

        Its text may come late, so that silence is no fault.
        """
        match event:
            case PassageStarted():
                self._meter.part(len(event.passage.text))
            case AudioMade():
                self._meter.audio(self.session.seconds, live=False)
            case PassageEnded():
                self._meter.part_ended()
            case SessionEnded():
                self._meter.done()
                self._meter.close()
            case SessionFailed(error):
                self._meter.fail(error)
                self._meter.close()
