"""The whole text path for an engine that wants words: any text is words, or a 400."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from importlib.metadata import distributions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxcpm_openai import InvalidRequest, Settings
from voxcpm_openai.context import AppContext
from voxcpm_openai.embedded.engine import capabilities
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

CONTEXT = AppContext.open(load_settings({"VOXCPM_ENGINE": "hibari"}))
RESOLVER = CONTEXT.resolver_for("hibari")
VOICE = CONTEXT.voices.get("alloy", OPERATOR)
CAN = capabilities(("en",))
WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*|[ \u00a0'.,;:!?…—-]")
"""What words are made of: letters, marks of pauses, apostrophes and hyphens."""
SAMPLE = random.Random(7)


def words(text: str) -> list[str] | None:
    """Return the words of each segment, or None if the text is refused."""
    try:
        request = SpeechRequest(model="hibari", input=text)
        said = RESOLVER.plan_text(request, VOICE, CAN, OPERATOR)
    except InvalidRequest:
        return None
    return [segment.text for segment in said.segments]


def check(text: str) -> None:
    for segment in words(text) or []:
        assert segment
        assert WORDS.sub("", segment) == "", (text, segment)


CHARACTERS = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize("char", SAMPLE.sample(CHARACTERS, 400), ids=lambda c: f"{ord(c):X}")
def test_any_character_is_words_or_refused(char: str) -> None:
    for text in (char, f"a{char}b", f"one {char} two", f"5{char}", f"{char}5 {char}{char}"):
        check(text)


@given(st.text(st.sampled_from(CHARACTERS), max_size=60))
def test_any_text_is_words_or_refused(text: str) -> None:
    check(text)


@given(st.text("aA1 .,-/:$%€°²½'\"()[]{}<>*_#@&+=~^|\\\n", max_size=80))
def test_any_mixture_of_signs_is_words_or_refused(text: str) -> None:
    check(text)


PLAIN_WORDS = st.text(alphabet="abdefglmnortuyzéñ", min_size=2, max_size=12)
PLAIN = st.lists(
    st.builds(
        lambda words, mark: " ".join(words).capitalize() + mark,
        st.lists(st.one_of(PLAIN_WORDS, PLAIN_WORDS.map(str.capitalize)), min_size=1),
        st.sampled_from(".!?"),
    )
).map(" ".join)


@given(PLAIN)
def test_the_words_of_plain_prose_come_out_unchanged_and_in_order(text: str) -> None:
    plain = [word.strip(".,;:!?…—\"'") for word in re.sub('[“”"]', "", text).split()]
    said = [word.strip(".,;:!?…—\"'") for part in words(text) or [] for word in part.split()]
    assert [word for word in said if word] == [word for word in plain if word]


def documentation() -> Iterator[str]:
    """Yield sentences of the descriptions of the installed packages."""
    for package in sorted(distributions(), key=lambda one: one.metadata["Name"] or ""):
        text = str(package.metadata.get_payload() or package.metadata["Description"] or "")
        yield from (part.strip() for part in re.split(r"(?<=[.!?])\s+|\n\n+", text) if part.strip())


def test_sentences_of_documentation_are_words_or_refused() -> None:
    sentences = list(documentation())
    assert len(sentences) > 1000
    for text in SAMPLE.sample(sentences, 1000):
        check(text[: Settings().max_input_chars])
