"""Spanish text to Kokoro's phonemes."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import ROOT
from voxcpm_openai.embedded import spanish
from voxcpm_openai.embedded.kokoro.vocabulary import symbols
from voxcpm_openai.embedded.spanish import SpanishPhonemizer

PHONEMES = [
    # Diphthongs: the glide before the vowel, which has the stress.
    ("buen tiempo", "bwˈen tjˈempo"),
    ("la estación", "la estasjˈon"),
    ("muy cuidado", "mwˈi kwiðˈaðo"),
    ("viuda, ciudad", "bjˈuða, sjuðˈað"),
    ("aire, auto, rey", "ˈaiɾe, ˈauto, rˈei"),
    ("soy de Europa", "sˈoi de euɾˈopa"),
    ("veintiún", "beintjˈun"),
    # A vowel with a written accent is none of a diphthong.
    ("frío, país, había", "fɾˈio, paˈis, aβˈia"),
    ("policía, baúl", "polisˈia, baˈul"),
    # Stress: written, on the last syllable but one, on the last.
    ("rápidamente", "rˈapiðamente"),
    ("casa, casas, cantan", "kˈasa, kˈasas, kˈantan"),
    ("ciudad, azul, comer", "sjuðˈað, asˈul, komˈeɾ"),
    ("excelente, exceso", "ekselˈente, eksˈeso"),
    # Consonants.
    ("perro, pero, rosa, Enrique", "pˈero, pˈeɾo, rˈosa, enrˈike"),
    ("mucho, calle, niño", "mˈuʧo, kˈaʝe, nˈiɲo"),
    ("jefe, gente, guitarra, pingüino", "xˈefe, xˈente, ɡitˈara, pinɡwˈino"),
    ("México, mexicana, Texas", "mˈexiko, mexikˈana, tˈexas"),
    # Marks, and letters of other languages.
    ("¿Dónde? ¡Aquí! Sí… —no.", "dˈonde? akˈi! sˈi…— no."),
    ("Straße, façade, Citroën", "stɾˈasse, fakˈaðe, sitɾˈoen"),
    ("Qatar, Irak", "katˈaɾ, iɾˈak"),
    ("", ""),
    ("¿…?", "…?"),
]
LETTERS = "abcdefghijklmnñopqrstuvwxyzáéíóúü"


@pytest.mark.parametrize(("text", "phonemes"), PHONEMES)
def test_phonemes(text: str, phonemes: str) -> None:
    assert SpanishPhonemizer()(text) == phonemes


@given(st.text(f"{LETTERS} ,.;:!?¿¡…—", max_size=60))
def test_the_network_knows_every_phoneme(text: str) -> None:
    said = SpanishPhonemizer()(text)
    assert not [symbol for symbol in said if symbol not in symbols()]


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    said = SpanishPhonemizer()(text)
    assert not [symbol for symbol in said if symbol not in symbols()]


@given(st.text(LETTERS, min_size=1, max_size=12))
def test_the_mark_of_stress_is_before_a_vowel(word: str) -> None:
    said = SpanishPhonemizer()(word)
    assert said.count("ˈ") <= 1
    if "ˈ" in said:
        assert said[said.index("ˈ") + 1] in "aeiou"


def test_loading_it_logs_and_warns_of_nothing() -> None:
    script = (
        "import logging\n"
        "from voxcpm_openai.embedded.spanish import SpanishPhonemizer\n"
        "logging.basicConfig()\n"
        "SpanishPhonemizer()('hola')\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("", "")
    assert logging.getLogger("piper_plus_g2p").level == logging.NOTSET


@pytest.mark.parametrize(
    ("absent", "named"), [("piper_plus_g2p", "piper-plus-g2p"), ("num2words", "num2words")]
)
def test_what_is_missing_is_named_as_it_is_installed(
    absent: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spanish.missing() is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == absent else name)
    assert spanish.missing() == named
