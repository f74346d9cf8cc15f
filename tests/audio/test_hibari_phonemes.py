"""Words to hibari's phonemes."""

from __future__ import annotations

from typing import Any

import pytest

from voxcpm_openai import Pronunciation, Segment
from voxcpm_openai.embedded.phonemes import LONGEST, Phonemizer


@pytest.fixture(scope="module")
def phonemizer(hibari: Any) -> Phonemizer:
    return Phonemizer(hibari)


@pytest.mark.parametrize(
    ("words", "phonemes"),
    [
        ("The book I read.", "ðə bˈʊk ˌI ɹˈɛd."),
        ("Mark Carney.", "mˈɑɹk kˈɑɹni."),
        ("He said no.", "hˌi sˈɛd nˈO."),
        ("I met Jan.", "ˌI mˈɛt ʤˈæn."),
        ("Queen Victoria.", "kwˈin vɪktˈɔɹiə."),
        ("The U\u00a0S\u00a0B plug.", "ðə jˌuˌɛsbˈi plˈʌɡ."),
        ("The C\u00a0E\u00a0Os.", "ðə sˌiˌiˈOz."),
        ("The F\u00a0B\u00a0I's.", "ði ˌɛfbˌiˈIz."),
        ("Grade C.", "ɡɹˈAd sˈi."),
    ],
)
def test_words_are_pronounced(phonemizer: Phonemizer, words: str, phonemes: str) -> None:
    assert phonemizer(Segment(words)) == [phonemes]


@pytest.mark.parametrize(
    ("ipa", "phonemes"),
    [
        ("təˈmɑːtoʊ", "təˈmɑtO"),
        ("/ˈwɪn/", "ˈwɪn"),
        ("ˈtʃɜːtʃ", "ˈʧɜɹʧ"),
        ("d͡ʒoʊ", "ʤO"),
        ("ɡreɪt", "ɡɹAt"),
        ("❄", ""),
    ],
)
def test_ipa_is_translated(phonemizer: Phonemizer, ipa: str, phonemes: str) -> None:
    assert phonemizer.from_ipa(ipa) == phonemes


def test_a_pronunciation_replaces_that_of_its_words(phonemizer: Phonemizer) -> None:
    places = (Pronunciation(6, 12, "təˈmɑːtoʊ"),)
    assert phonemizer(Segment("I say tomato now.", pronunciations=places)) == [
        "ˌI sˈA təˈmɑtO nˈW."
    ]


def test_a_pronunciation_without_a_known_sound_leaves_the_word(phonemizer: Phonemizer) -> None:
    segment = Segment("I say yes.", pronunciations=(Pronunciation(6, 9, "❄"),))
    assert phonemizer(segment) == phonemizer(Segment("I say yes."))


def test_a_segment_is_not_cut_at_its_full_stops(phonemizer: Phonemizer) -> None:
    assert len(phonemizer(Segment("One. Two! Three? Four."))) == 1


@pytest.mark.parametrize("text", ["one two three, four. " * 60, "a" * 900, "one two three " * 60])
def test_phonemes_that_are_too_many_for_the_network_are_cut(
    phonemizer: Phonemizer, text: str
) -> None:
    pieces = phonemizer(Segment(text))
    assert len(pieces) > 0
    assert all(0 < len(piece) <= LONGEST for piece in pieces)


@pytest.mark.parametrize("text", ["10⁻⁶", "½", "x² [a](b) /c/", "ɐʘꞵﬀ", "\u0300", "1e5-3,,.", "٣"])
def test_no_text_is_an_error(phonemizer: Phonemizer, text: str) -> None:
    phonemizer(Segment(text))


def test_an_error_of_the_package_leaves_plain_letters(
    hibari: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    phonemizer = Phonemizer(hibari)
    real = hibari.g2p

    def odd(text: str, normalize_text: bool) -> str:
        if "é" in text:
            raise ValueError
        return str(type(real).__call__(real, text, normalize_text=normalize_text))

    monkeypatch.setattr(phonemizer, "_g2p", odd)
    assert phonemizer._phonemes("Café") == odd("Cafe", False)


def test_letters_that_hibari_does_not_know_become_plain_ones(phonemizer: Phonemizer) -> None:
    assert phonemizer(Segment("ƀase")) == phonemizer(Segment("base"))
