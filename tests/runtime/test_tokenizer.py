"""Token ids against upstream's tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.runtime.oracle import Oracle
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

TEXTS = [
    "the hello",
    "The quick brown fox, 123,456.78 — “quoted” and 'single' and \"double\".",
    "你好世界",
    "你好，世界！",
    "你好世界你好 世界 中文",
    "中文 the 中文the中文",
    " 中文",
    "  two  spaces  ",
    "12 1212 3.14 ½ ١٢٣ 一二三",
    "emoji 😀 👩‍👩‍👧 🇩🇪 ❤️",
    "日本語のテキスト と 한국어",
    "русский текст, ελληνικά, עברית, العربية",
    "naïve café — e\u0301 \u00e9",
    "tab\there\nnew line\r\n",
    "▁ the ▁你好 underscore_",
    "<|audio_start|> and <s> </s> in the text <unk>",
    "(a warm, low voice)你好 the",
    "\u200bzero\u200dwidth\ufeff",
    "𠀀𪚥 beyond the block",
    "a",
    "",
    " ",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_ids_equal_upstream(
    model: Callable[[str], VoxCPM], oracle: Callable[[str], Oracle], kind: str, text: str
) -> None:
    assert model(kind).tokens(text) == oracle(kind).tokens(text)


def test_words_of_several_characters_are_split(
    model: Callable[[str], VoxCPM], checkpoint: Callable[[str], Path]
) -> None:
    tokens = model("voxcpm2").tokens
    vocabulary = tokens.tokenizer.get_vocab()
    ids = tokens("the 中文你好世界")
    assert ids[1:] == [vocabulary[character] for character in "中文你好世界"]
