"""The language of a text, and the normalizers of languages."""

import logging
from collections.abc import Callable

import pytest

from voxcpm_openai import Normalizer, Settings
from voxcpm_openai.text.language import base_language, language_of
from voxcpm_openai.text.normalizers import Normalizers


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello there", "en"),
        ("你好，世界", "zh"),
        ("今日は雨です", "ja"),
        ("안녕하세요", "ko"),
        ("Привет", "ru"),
        ("Καλημέρα", "el"),
        ("π ≈ 3.14", "en"),
        ("The angle α is small", "en"),
        ("مرحبا", "ar"),
        ("שלום", "he"),
        ("नमस्ते", "hi"),
        ("สวัสดี", "th"),
        ("我用 Python 写代码", "zh"),
        ("The word 好 means good", "en"),
        ("12:30", "en"),
        ("", "en"),
    ],
)
def test_the_script_of_most_letters_tells_the_language(text: str, language: str) -> None:
    assert language_of(text, "en") == language


def test_the_region_of_a_code_does_not_matter() -> None:
    assert (base_language("en-US"), base_language("ZH"), base_language("")) == ("en", "zh", "")


def normalizers(*specs: Normalizer) -> Normalizers:
    return Normalizers({spec.language: spec for spec in specs}, Settings())


def test_a_normalizer_is_started_once_and_found_by_any_code_of_its_language() -> None:
    starts: list[Settings] = []

    def start(settings: Settings) -> Callable[[str], str]:
        starts.append(settings)
        return str.upper

    known = normalizers(Normalizer("fr", start))
    assert "fr-CA" in known
    assert "de" not in known
    assert known.get("de") is None
    assert starts == []
    for code in ("fr", "fr-CA"):
        words = known.get(code)
        assert words is not None
        assert words("oui") == "OUI"
    known.start(["fr", "de"])
    assert len(starts) == 1


def failing(_text: str) -> str:
    raise ValueError


def leaving(_text: str) -> str:
    raise SystemExit


@pytest.mark.parametrize("words", [failing, leaving, lambda text: None, lambda text: text.encode()])
def test_a_normalizer_that_fails_leaves_plain_letters(
    words: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    made = normalizers(Normalizer("fr", lambda _settings: words)).get("fr")
    assert made is not None
    with caplog.at_level(logging.ERROR):
        assert made("C'est 5 €, déjà !") == "C'est , déjà !"
    assert "'fr'" in caplog.text


def test_a_normalizer_that_does_not_start_leaves_plain_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def start(_settings: Settings) -> Callable[[str], str]:
        raise ImportError("no such module")

    made = normalizers(Normalizer("fr", start)).get("fr")
    assert made is not None
    assert made("5 € ici") == "ici"
    assert "no such module" in caplog.text
