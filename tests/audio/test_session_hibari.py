"""Sessions on hibari: a text that comes token by token is said as the whole text is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.sessions import Sessions, cut, sizes
from tests.support.stock import load_plugin
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import SpeechRequest

TEXTS = (
    "Sure, I can help with that. Dr. Smith paid $3.50 for 2 kg of rice at 9:30 p.m. in New York.",
    "On January 5th, 2021, the U.S. had 1,000,000 cases, i.e. 3.5% more. No. 5: 10 Main St."
    " It is open. See https://www.example.com/a?b=c, or write to me@example.com!",
    "# Results\n\n- **First:** 3/4 of it.\n- Second: x = 5.\n\nHere is `code. Really` and a"
    " [link. With text](http://a.b/c).\n\n```python\nprint(1.5). Then\n```\n\nThat is all, you...",
    "<speak>Say <sub alias='World Wide Web'>WWW</sub> slowly. <break time='1s'/> Then stop: now;"
    " please.</speak> He said “Stop. Now!” and left (e.g. by car). Mr. & Mrs. Jones agreed 👍🏽.",
    "It was a long sentence which goes on and on, with 12 clauses, and more of them, because nobody"
    " ever stops it, although everybody wants to, until at last, after 300 words or so, it comes to"
    " its end, which nobody expected any more, and then there is another one. Fine.",
)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    engine = load_plugin("embedded_engine").start(Settings(threads=1))
    engine.name = "embedded"
    yield Sessions(engine, Settings(data_dir=tmp_path_factory.mktemp("data")), "embedded")
    engine.stop()


def words(sessions: Sessions, passages: list[str]) -> list[str]:
    """Return the words that the engine is given."""
    request = SpeechRequest(model="tts-1", input="")
    can = sessions.engine.capabilities
    planner = sessions.resolver.planner(request, sessions.resolver.voice("alloy", can), can)
    said = []
    for number, text in enumerate(passages):
        if text.strip():
            plan = planner.plan(text, continued=number > 0)
            said += [segment.text for segment in plan.segments]
    return re.findall(r"\w+(?:['’]\w+)*", " ".join(said).lower())


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_token_by_token_has_the_words_of_the_whole_text(
    sessions: Sessions, text: str
) -> None:
    whole = words(sessions, [text])
    for pieces in (text, re.findall(r"\s*\S+", text), sizes(text, [4] * len(text))):
        passages = [passage.text for passage in cut(pieces)]
        assert len(passages) > 1
        assert words(sessions, passages) == whole


def test_equal_seeds_give_equal_audio_however_the_text_comes(sessions: Sessions) -> None:
    text = TEXTS[0]
    first = sessions.said([text], seed=3)
    assert first == sessions.said(re.findall(r"\s*\S+", text), seed=3)
