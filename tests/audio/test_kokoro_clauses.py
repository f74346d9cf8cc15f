"""Kokoro: the pieces of a segment."""

from __future__ import annotations

import pytest

from voxcpm_openai.embedded.kokoro.clauses import LENGTHS, cut

MANDARIN = "请问去火车站怎么走？我想坐下午三点的火车，但是不知道在哪里买票，也不知道要不要换车。"
RUN_ON = "今天的天气非常好我们打算去公园散步然后在附近的餐厅吃午饭下午再回家休息晚上和朋友看电影"


@pytest.fixture
def jieba() -> None:
    pytest.importorskip("jieba", reason="the extra mandarin is not installed")


@pytest.mark.parametrize(
    ("text", "language", "pieces"),
    [
        ("", "zh", []),
        ("  \n", "en", []),
        ("你好。", "zh", ["你好。"]),
        ("。。。", "zh", ["。。。"]),
        ("请问去火车站怎么走？我想坐火车。", "zh", ["请问去火车站怎么走？", "我想坐火车。"]),
        ("“他说他不知道。”我说我也是。", "zh", ["“他说他不知道。”", "我说我也是。"]),
        ("我们都在这里等着你们！！！！！", "zh", None),
        ("Good morning.", "en", ["Good morning."]),
        (
            "Good morning, everybody. We are here to say that it rains.",
            "en",
            ["Good morning, everybody.", "We are here to say that it rains."],
        ),
        (
            "The train to the city leaves at nine in the morning each day.",
            "en",
            ["The train to the city leaves", "at nine in the morning each day."],
        ),
        (
            "El tren a la ciudad sale todos los días a las nueve, ¿verdad?",
            "es",
            ["El tren a la ciudad sale", "todos los días a las nueve, ¿verdad?"],
        ),
        ("It is 3.5 and 1,000 and no more than that here", "en", None),
    ],
)
@pytest.mark.usefixtures("jieba")
def test_pieces(text: str, language: str, pieces: list[str] | None) -> None:
    made = list(cut(text, language))
    assert squeezed("".join(made)) == squeezed(text)
    if pieces is not None:
        assert made == pieces


@pytest.mark.usefixtures("jieba")
def test_mandarin_without_punctuation_is_cut_between_words() -> None:
    first, second, *_ = cut(RUN_ON, "zh")
    assert 8 <= len(first) <= 10
    assert first.endswith("我们")
    assert len(second) > len(first)


@pytest.mark.usefixtures("jieba")
def test_numbers_stay_whole() -> None:
    assert "1,228" in " ".join(cut("他们一共花了1,228元，今天。", "zh"))


@pytest.mark.usefixtures("jieba")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "text",
    [MANDARIN * 20, RUN_ON * 20, "字" * 999, "x" * 999, "a b " * 500, "a. " * 500, "。" * 999],
)
def test_pieces_grow_and_lose_nothing(text: str, language: str) -> None:
    pieces = list(cut(text, language))
    assert squeezed("".join(pieces)) == squeezed(text)
    limit = LENGTHS[language].first
    for piece in pieces[:-1]:
        assert 0 < len(piece) <= limit
        limit = min(limit + limit // 2, LENGTHS[language].later)


def squeezed(text: str) -> str:
    return "".join(text.split())
