"""Sessions between threads: text in one, audio in another, and ends from anywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.support.sessions import TIMEOUT, Sessions
from voxcpm_openai.errors import ClientLeft, InvalidRequest
from voxcpm_openai.session import (
    AudioMade,
    PassageEnded,
    SessionEnded,
    SessionEvent,
    SpeechSession,
)
from voxcpm_openai.session.passage_queue import PassageQueue
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine

TEXT = "Hello there. How are you? I am fine. "


@pytest.fixture
def sessions(tone_settings: Settings) -> Iterator[Sessions]:
    settings = replace(tone_settings, max_input_chars=100, max_streams=2)
    sessions = Sessions(ToneEngine(), settings, "tone")
    with sessions.assert_freed():
        yield sessions


def ended(session: SpeechSession) -> int:
    """Return the number of passages that a session says, to its end."""
    return sum(isinstance(event, PassageEnded) for event in session)


def await_no_permit(sessions: Sessions) -> None:
    """Wait until all permits are given back."""
    limits = sessions.limits
    with limits._changed:
        assert limits._changed.wait_for(lambda: limits.running == 0, TIMEOUT)


def test_text_comes_while_audio_is_made(sessions: Sessions, pool: ThreadPoolExecutor) -> None:
    with sessions.open() as session:
        said = pool.submit(ended, session)
        for _ in range(20):
            for token in TEXT.split():
                session.append(token + " ", timeout=TIMEOUT)
        session.finish()
        assert said.result(TIMEOUT) == 60


def test_several_sessions_are_independent(sessions: Sessions, pool: ThreadPoolExecutor) -> None:
    with sessions.open() as one, sessions.open() as two:
        first, second = pool.submit(ended, one), pool.submit(ended, two)
        one.append(TEXT)
        two.append(TEXT)
        one.cancel()
        with pytest.raises(ClientLeft):
            one.append("More.")
        two.append("More. ")
        two.finish()
        assert second.result(TIMEOUT) == 4
        assert first.result(TIMEOUT) <= 2


@pytest.mark.parametrize("text", ["", "It must hang here. Now ", "It must hang-late here. Now "])
def test_cancel_wakes_the_thread_that_waits_for_audio(
    sessions: Sessions, pool: ThreadPoolExecutor, text: str
) -> None:
    with sessions.open() as session:
        session.append(text)
        said = pool.submit(list, session)
        session.cancel()
        events = said.result(TIMEOUT)
        assert not any(isinstance(event, SessionEnded) for event in events)
        assert sessions.limits.running == 0
        assert sessions.engine.status().streams == 0


def test_cancel_frees_the_permit_though_nobody_listens(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        while not isinstance(next(session), AudioMade):
            pass
        assert sessions.limits.running == 1
        session.cancel()
        assert sessions.limits.running == 0
        assert sessions.engine.status().streams == 0
        assert list(session) == []


def test_cancel_wakes_a_session_that_waits_at_the_gate(
    sessions: Sessions, pool: ThreadPoolExecutor
) -> None:
    gate = sessions.limits.gate
    tickets = [gate.register() for _ in range(gate.places)]
    assert all(gate.acquire(ticket, 0.0) for ticket in tickets)
    with sessions.open() as session:
        session.append(TEXT)
        said = pool.submit(list, session)
        session.cancel()
        assert not any(isinstance(event, AudioMade) for event in said.result(TIMEOUT))
    for ticket in tickets:
        gate.release(ticket)
        gate.unregister(ticket)


@contextmanager
def heard_once(
    sessions: Sessions, pool: ThreadPoolExecutor
) -> Iterator[tuple[SpeechSession, Future[list[SessionEvent]]]]:
    """Open a session that has said a passage and holds no permit, and iterate over it."""
    with sessions.open() as session:
        session.append("Hello there. How ")
        while not isinstance(next(session), PassageEnded):
            pass
        said = pool.submit(list, session)
        await_no_permit(sessions)
        yield session, said


def test_a_session_that_was_heard_waits_for_a_permit(
    sessions: Sessions, pool: ThreadPoolExecutor
) -> None:
    with heard_once(sessions, pool) as (session, said):
        with sessions.limits.enter(), sessions.limits.enter():
            session.append("are you? I am fine. ")
            session.finish()
        events = said.result(TIMEOUT)
        assert isinstance(events[-1], SessionEnded)


def test_cancel_wakes_a_session_that_waits_for_a_permit(
    sessions: Sessions, pool: ThreadPoolExecutor
) -> None:
    with (
        heard_once(sessions, pool) as (session, said),
        sessions.limits.enter(),
        sessions.limits.enter(),
    ):
        session.append("are you? I am fine. ")
        session.cancel()
        assert not any(isinstance(e, AudioMade) for e in said.result(TIMEOUT))


def test_close_ends_a_session_that_was_never_heard(sessions: Sessions) -> None:
    session = sessions.open()
    session.append(TEXT)
    session.close()
    session.close()
    assert list(session) == []


def test_a_session_leaves_no_thread(sessions: Sessions) -> None:
    before = threading.active_count()
    assert sessions.said([TEXT])
    assert threading.active_count() == before


def test_an_append_waits_for_room(pool: ThreadPoolExecutor) -> None:
    queue = PassageQueue(20)
    queue.append("Hello there. How is ", 0.0)
    waiting = pool.submit(queue.append, "everything? ", TIMEOUT)
    assert queue.next() is not None
    waiting.result(TIMEOUT)
    assert queue.waiting == len("How is everything? ")


def test_close_wakes_an_append_that_waits_for_room(pool: ThreadPoolExecutor) -> None:
    queue = PassageQueue(20)
    queue.append("Hello there. How is ", 0.0)
    waiting = pool.submit(queue.append, "everything? ", TIMEOUT)
    queue.close()
    with pytest.raises(ClientLeft):
        waiting.result(TIMEOUT)


def test_text_that_never_has_room_is_refused_at_once() -> None:
    queue = PassageQueue(20)
    with pytest.raises(InvalidRequest):
        queue.append("x" * 21, TIMEOUT)
    assert queue.text == ""
