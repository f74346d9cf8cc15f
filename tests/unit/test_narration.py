"""Long texts: their parts, and how an engine is asked to speak them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import TONE_PLUGINS
from voxcpm_openai import Capabilities, Chunk, Engine, Usage, Utterance
from voxcpm_openai.cli.narration import Narration, parts_of
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.text.sentences import PARAGRAPH, SENTENCE

SENTENCES = "One sentence of this book, which is not very long. "


class Stream:
    """Ten samples for each segment; what it leaves is the text of its first one."""

    usage = Usage(1, 1)

    def __init__(self, utterance: Utterance) -> None:
        self.continuation = utterance.segments[0].text
        self._chunks = self._make(utterance)

    def _make(self, utterance: Utterance) -> Iterator[Chunk]:
        for index, segment in enumerate(utterance.segments):
            if "nothing" not in segment.text:
                yield Chunk(np.full(2400, 0.5, np.float32), index)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        pass


class Continuing(Engine):
    """An engine that continues and takes a seed; remembers what it is asked."""

    name = "tone"
    capabilities: ClassVar = Capabilities(
        sample_rate=24_000, languages=("en",), params=frozenset({"seed"}), continues=True
    )

    def __init__(self) -> None:
        self.asked: list[Utterance] = []

    def synthesize(self, utterance: Utterance) -> Stream:
        self.asked.append(utterance)
        return Stream(utterance)


@pytest.fixture(scope="module")
def ctx() -> AppContext:
    return AppContext.open(Settings(engine="tone", plugins_dir=TONE_PLUGINS))


def narration(
    ctx: AppContext, text: str, engine: Engine | None = None, **fields: object
) -> Narration:
    request = replace(
        SpeechRequest(model="tone", input=text, response_format="wav"),
        **fields,
    )
    return Narration(ctx, engine or Continuing(), request)


def made(one: Narration, *indexes: int) -> list[bytes]:
    return [b"".join(one.samples(index, lambda *_: None)) for index in indexes]


@given(
    st.lists(
        st.sampled_from(
            ["Hello. ", "A clause, and more; ", "\n\n", "\n", "你好。", "- item\n", "word "]
        ),
        max_size=600,
    ).map("".join)
)
def test_the_parts_are_the_text(text: str) -> None:
    parts = parts_of(text)
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())
    assert all(part.text.strip() for part in parts) or not text.strip()


def test_parts_end_with_sentences_and_the_first_is_one() -> None:
    parts = parts_of(SENTENCES * 100)
    assert parts[0].text.strip() == SENTENCES.strip()
    assert len(parts) == 6
    assert all(900 < len(part.text) < 1200 for part in parts[1:-1])
    assert [part.pause for part in parts[:-1]] == [SENTENCE] * 5


def test_a_part_ends_with_a_paragraph_where_there_is_one() -> None:
    paragraph = SENTENCES * 12
    parts = parts_of(f"{SENTENCES}\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}")
    assert [part.pause for part in parts] == [PARAGRAPH, PARAGRAPH, PARAGRAPH, 0.0]
    assert [part.text.strip() for part in parts[1:]] == [paragraph.strip()] * 3


@pytest.mark.parametrize("text", ["word " * 5000, "字" * 5000, "a, b; " * 3000])
def test_a_text_without_sentences_has_parts_too(text: str) -> None:
    parts = parts_of(text)
    assert all(len(part.text) < 4000 for part in parts)
    assert "".join(part.text for part in parts) == text


def test_later_parts_go_on_from_the_first_one_in_every_process(ctx: AppContext) -> None:
    text = f"It begins. {SENTENCES * 50}"
    at_once, later = Continuing(), Continuing()
    one = narration(ctx, text, at_once, seed=7)
    whole = made(one, *range(len(one.parts)))
    assert [asked.continuation for asked in at_once.asked] == [
        None,
        "It begins.",
        "It begins.",
        "It begins.",
    ]
    other = narration(ctx, text, later, seed=7)
    assert made(other, 2, 3) == whole[2:]
    assert [asked.continuation for asked in later.asked] == [None, "It begins.", "It begins."]
    assert [asked.segments for asked in later.asked[1:]] == [a.segments for a in at_once.asked[2:]]


def test_a_seed_is_drawn_once_for_all_parts(ctx: AppContext) -> None:
    engine = Continuing()
    one = narration(ctx, SENTENCES * 50, engine)
    made(one, *range(len(one.parts)))
    assert {asked.seed for asked in engine.asked} == {one.seed}
    assert one.seed is not None
    assert one.facts()["seed"] == "None"


def test_a_part_with_nothing_to_say_is_left_out(ctx: AppContext) -> None:
    text = f"🎉\n\n{SENTENCES * 20}\n\n🎉 🎉\n\n{SENTENCES * 20}"
    one = narration(ctx, f"***\n\n{text}")
    audio = made(one, *range(len(one.parts)))
    assert any(audio)
    assert one.skipped == sum(not part for part in audio)


def test_a_single_part_that_cannot_be_said_is_an_error(ctx: AppContext) -> None:
    with pytest.raises(InvalidRequest, match="nothing that can be spoken"):
        made(narration(ctx, "🎉"), 0)
    with pytest.raises(InvalidRequest, match="1 to"):
        made(narration(ctx, "  "), 0)


def test_the_progress_rises_to_the_end(ctx: AppContext) -> None:
    one = narration(ctx, SENTENCES * 50)
    told: list[tuple[float, float]] = []
    for index in range(len(one.parts)):
        for _ in one.samples(index, lambda *share: told.append(share)):
            pass
    assert told == sorted(told)
    assert told[-1][0] == 1.0
    assert told[-1][1] > 4.0


def test_the_facts_tell_clips_apart(ctx: AppContext, tmp_path: Path) -> None:
    one = narration(ctx, "Hello.")
    clip = tmp_path / "clip.flac"
    facts = []
    for content in (b"one", b"two"):
        clip.write_bytes(content)
        voice = replace(one._utterance.voice, audio=clip)
        one._utterance = replace(one._utterance, voice=voice)
        facts.append(one.facts())
    assert facts[0] != facts[1]
    assert {name for name in facts[0] if facts[0][name] != facts[1][name]} == {"settings"}
