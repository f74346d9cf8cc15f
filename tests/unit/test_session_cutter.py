"""Where a text that comes piece by piece is cut."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.sentences import SENTENCES
from tests.support.sessions import cut, sizes, texts
from voxcpm_openai.session.cutter import Cutter
from voxcpm_openai.session.shape import inside_character
from voxcpm_openai.text import clean, split

# Each case: a text with "|" where it is cut.
CUTS = {
    "sentences": "Hello there. |How are you? |I am fine! |Bye.",
    "a clause, once": "Well, I am here, |and you are there, too. |So be it, my friend, yes.",
    "a decimal": "It costs 3.5 euros and 1,000 cents. |Good.",
    "a date": "On January 5, 2021, they met. |Good.",
    "a title": "Then came Dr. Smith with Mr. Jones and Prof. X. |They left.",
    "e.g.": "Take fruit (e.g. apples or i.e. pears). |Good.",
    "a country": "He lives in the U.S. and works. |He moved to the U.S. |The end.",
    "a time": "They met at 9:30 p.m. Eastern Time today. |Good.",
    "initials": "The book by J. R. R. Tolkien is long. |Good.",
    "a number": "See No. 5 and Fig. 3 of it. |Good.",
    "a small word after a mark": "Yahoo! is a company. |Good.",
    "a URL": "See https://example.com/a.b?c=d,e!f for more. |Good.",
    "an address": "Write to me.too@example.co.uk. |Good.",
    "a link": "See [the docs. All of them](http://a.b/c_(d)) now. |Good.",
    "a link without its target": "See [Dr. No. It is good], |a film. |Good.",
    "code": "Use `a. b` or `c.` here. |Good.",
    "a block of code": "Look.\n|```python\na = 1. \nb = 2. \n```\nDone. |Good.",
    "emphasis": "This is **very. Very** good, |*really.* |And _so. On_ too. |Good.",
    "emphasis around a sentence": "**Be careful.** |It is hot. |Good.",
    "a formula": "It is \\(a. b\\) here, |$x. Y$ there. |Good.",
    "an alias": "It is <sub alias='a. b'>x. Y</sub> here. |Good.",
    "a rate": "It is <prosody rate='slow'>slow. Very slow.</prosody> |Good.",
    "a pause": "Hello there.<break time='1s'/> |How are you? [pause:1s] |Good.",
    "paragraphs of SSML": "<speak><p>Hello there.</p><p>|How are you?</p> |Good.</speak>",
    "reasoning": "<think>I say. Hello. </think>Hello there. |Good.",
    "a comment": "Hello there <!-- one. Two. --> you. |Good.",
    "an entity": "Tom &amp; Jerry &lt; you. |Good.",
    "a comparison": "One is a < b. |Then c > d. |Good.",
    "a heading and items": "# The title\n\n|- One item\n|- Two items\n\n|1. First\n|2. Second",
    "a wrapped line": "This line goes on\nhere, |and ends. |Good.",
    "Chinese": "你好，世界。|今天很好！|你呢？|好。",
    "a Chinese clause": "今天天气很好，|我们去公园吧，好不好。|好。",
    "Chinese quotes": "他说：“你好。”|她走了。|“再见！”|好。",
    "Chinese numbers": "价格是3.5元，|大约1,000元。|好。",
    "Japanese quotes": "「はい。」と言った。|はい。",
    "French quotes": "Il dit « Bonjour. » |Puis il part. |Bien.",
    "an emoji": "I like it 👍🏽. |Yes 👨\u200d👩\u200d👧! |Good.",
    "ellipses": "Well... I do not know. |Good.",
    "a quotation": "“Stop.” |He stopped. |Good.",
}


def written(case: str) -> tuple[str, list[str]]:
    passages = CUTS[case].split("|")
    return "".join(passages), passages


@pytest.mark.parametrize("case", CUTS)
def test_a_text_is_cut_where_it_is_safe(case: str) -> None:
    text, passages = written(case)
    assert texts(text) == passages  # character by character


@pytest.mark.parametrize("case", CUTS)
def test_how_a_text_comes_does_not_change_where_it_is_cut(case: str) -> None:
    text, _ = written(case)
    expected = cut(text)
    assert cut([text]) == expected
    for size in (2, 3, 5, 7, 11):
        assert cut(sizes(text, [size] * len(text))) == expected
    assert cut(text.replace(" ", " \0").split("\0")) == expected  # words


WORDS = "Hello|Dr.|e.g.|p.m.|3.5|1,000|2021|U.S.|a|I|the|end|Smith|word|http://a.b/c"
MARKS = ". |! |? |, |: |; | |.|\n|\n\n|—| - |…|...|»|«|\"|'|(|)|“|”"
MARKUP = (
    "- |# |1. |* |**|*|_|`|```\n|[|](|]|~~|==|$|\\(|\\)|&lt;|<sub alias='x'>|</sub>|<b>|</b>|<|>"
    "|<break/>|<think>|</think>|[pause:1s]"
)
OTHERS = "你好|。|，|！|「|」|と|👍🏽|👨\u200d👩|é|e\u0301"
TOKENS = st.lists(st.sampled_from("|".join((WORDS, MARKS, MARKUP, OTHERS)).split("|")), max_size=40)


@settings(max_examples=300, deadline=None)
@given(TOKENS, st.lists(st.integers(1, 30), max_size=20))
def test_any_text_in_any_pieces_is_cut_as_it_is_token_by_token(
    tokens: list[str], numbers: list[int]
) -> None:
    text = "".join(tokens)
    expected = cut(text)
    assert cut(tokens) == cut(sizes(text, numbers)) == expected
    assert "".join(passage.text for passage in expected) == text
    assert [passage.number for passage in expected] == list(range(len(expected)))
    at = 0
    for passage in expected:
        assert passage.text
        assert passage.start == at
        assert not inside_character(text, at)
        at = passage.end


@settings(max_examples=100, deadline=None)
@given(SENTENCES, st.lists(st.integers(1, 30)))
@example("A" * 500, [])
@example("word " * 200, [])
def test_plain_sentences_give_the_words_of_the_whole_text(text: str, numbers: list[int]) -> None:
    passages = cut(sizes(text, numbers))
    words = " ".join(segment.text for passage in passages for segment in split(passage.text))
    assert "".join(words.split()) == "".join(text.split())


@settings(max_examples=200, deadline=None)
@given(TOKENS)
def test_a_cut_changes_nothing_of_what_is_read(tokens: list[str]) -> None:
    """What is known at a cut is read alike; a mark may still find its partner much later."""
    text = "".join(tokens)
    passages = texts(text)
    for number in range(1, len(passages)):
        before, after = passages[number - 1], "".join(passages[number:])
        first = "".join(clean(before).split())
        assert "".join(clean(before + after).split()).startswith(first[:-1])


def test_a_flush_gives_all_that_is_there() -> None:
    cutter = Cutter()
    assert cutter.append("Hello [wor") == []
    (passage,) = cutter.flush()
    assert (passage.text, passage.pause) == ("Hello [wor", 0.0)
    assert cutter.flush() == []


@pytest.mark.parametrize(
    ("text", "pause"),
    [("Hello.", 0.35), ("Hello,", 0.12), ("Hello", 0.0), ("Hello\n", 0.45), ("Hello.\n\n", 0.7)],
)
def test_the_pause_of_a_flush_is_that_of_the_punctuation(text: str, pause: float) -> None:
    cutter = Cutter()
    cutter.append(text)
    assert cutter.flush()[0].pause == pause


def test_after_a_flush_a_clause_is_enough_again() -> None:
    cutter = Cutter()
    cutter.append("One two three, four.")
    cutter.flush()
    assert [p.text for p in cutter.append("Five six seven, eight")] == ["Five six seven, "]


@pytest.mark.parametrize("text", ["word " * 200, "word, " * 200, "字" * 400, "字，" * 300])
def test_a_sentence_without_end_is_cut_between_words_or_clauses(text: str) -> None:
    passages = cut(text)
    assert len(passages) > 2
    assert all(len(split(passage.text)) <= 2 for passage in passages)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("```python\n", "```\n"), ("~~~~\n", "~~~~\n"), ("<think>\n", "</think>")],
)
def test_a_long_block_is_passed_over_while_it_comes(opening: str, closing: str) -> None:
    block = opening + "A line of it. And more, of it.\n" * 200 + closing
    text = f"Look at this code here:\n{block}Done with it. Good.\n"
    passages = cut(text)
    assert passages == cut([text]) == cut(sizes(text, [7] * len(text)))
    assert "".join(passage.text for passage in passages) == text
    silent = [passage.text for passage in passages if passage.silent]
    assert "".join(silent) == block
    assert all(len(part) <= 1000 for part in silent)
    others = [passage.text for passage in passages if not passage.silent]
    assert others == ["Look at this code here:\n", "Done with it. ", "Good.\n"]


def test_a_long_block_that_ends_at_a_flush_is_over() -> None:
    cutter = Cutter()
    cutter.append("```\n" + "A line of it.\n" * 200 + "```")
    assert all(passage.silent for passage in cutter.flush())
    cutter.append("Done.")
    assert [passage.silent for passage in cutter.flush()] == [False]


def test_a_long_word_and_a_block_of_code_are_not_cut() -> None:
    assert texts(["https://example.com/" + "a" * 1000]) == ["https://example.com/" + "a" * 1000]
    block = "```\n" + "print(1). Then.\n" * 50
    assert texts(block) == [block]


def test_a_long_text_is_cut_in_reasonable_time() -> None:
    """Token by token: each costs what waits, not what was cut."""
    assert "".join(texts(["The quick fox, as it is, runs. "] * 500)).startswith("The quick")
