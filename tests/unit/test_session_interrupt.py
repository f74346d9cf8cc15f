"""What a listener has heard of a session at any moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import TONE_PLUGINS
from tests.support.sessions import Sessions, sizes
from voxcpm_openai.session import AudioMade, PassageEnded, SessionEnded
from voxcpm_openai.session.alignment import align, length_heard
from voxcpm_openai.session.shape import inside_character
from voxcpm_openai.settings import Settings
from voxcpm_openai.testing.plugins.tone_engine import ToneEngine

TEXT = (
    "Hello there, you. **How** are you? 👨\u200d👩\u200d👧 😀 \n\nI am fine, e\u0301 and so on..."
    " good. "
)


@pytest.fixture(scope="module")
def sessions() -> Iterator[Sessions]:
    settings = Settings(engine="tone", plugins_dir=TONE_PLUGINS, max_streams=100)
    sessions = Sessions(ToneEngine(), settings, "tone")
    with sessions.assert_freed():
        yield sessions


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 20), max_size=10),
    st.integers(0, 30),
    st.floats(0, 4000),
    st.booleans(),
)
def test_what_was_heard_and_what_is_left_are_the_text(
    sessions: Sessions, numbers: list[int], events: int, played: float, whole: bool
) -> None:
    pieces = [piece for piece in sizes(TEXT, numbers) if piece]
    sent = pieces if whole else pieces[: len(pieces) // 2 + 1]
    with sessions.open() as session:
        for piece in sent:
            session.append(piece)
        if whole:
            session.finish()
        else:
            session.flush()
        for _ in range(events):
            event = next(session)
            all_said = isinstance(event, PassageEnded) and not session.waiting
            if all_said or isinstance(event, SessionEnded):
                break
        interruption = session.interrupt(played)
        text = "".join(sent)
        assert interruption.heard + interruption.left == text
        assert not inside_character(text, len(interruption.heard))
        assert session.interrupt(played) == interruption
        later = session.interrupt(played + 500)
        assert later.heard.startswith(interruption.heard)
    assert sessions.limits.running == 0


def test_everything_is_heard_once_all_audio_was_played(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        session.finish()
        list(session)
        assert session.interrupt(0).heard == ""
        assert session.interrupt(session.seconds * 1000).left == ""
        assert session.interrupt(1e9).left == ""
        assert session.interrupt(-5).heard == ""


def test_at_the_end_of_a_passage_it_was_heard(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        session.finish()
        events = [event for event in session if isinstance(event, PassageEnded)]
        for event in events[:2]:
            end = event.start_ms + event.duration_ms
            assert session.interrupt(end).heard == TEXT[: event.passage.end]
            half = session.interrupt(event.start_ms + event.duration_ms / 2)
            assert event.passage.start < len(half.heard) < event.passage.end


def test_what_is_not_made_yet_was_not_heard(sessions: Sessions) -> None:
    with sessions.open() as session:
        session.append(TEXT)
        while not isinstance(next(session), AudioMade):
            pass
        assert 0 < len(session.interrupt(1e9).heard) < len("Hello there, ")


def test_an_alignment_covers_the_duration() -> None:
    alignment = align("ab好", 1.0)
    assert alignment.characters == "ab好"
    assert alignment.starts_ms == (0, 200, 400)
    assert alignment.durations_ms == (200, 200, 600)


def test_a_character_of_several_code_points_is_heard_as_a_whole() -> None:
    text = "a👨\u200d👩b"
    lengths = [length_heard(text, 1.0, played / 100) for played in range(101)]
    assert set(lengths) == {0, 1, 4, 5}
