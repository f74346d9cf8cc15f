"""Spanish texts become words: every row of every rule, and whole sentences."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stock import load_plugin
from voxcpm_openai import Settings
from voxcpm_openai.spanish.numbers import cardinal, number, ordinal
from voxcpm_openai.spanish.words import GROUPS, to_words

ROWS = [row for group in GROUPS for rule in group.rules for row in rule.rows]

SENTENCES = [
    (
        "Son las 14:30 del 28/09/2025 y hace -3,5 °C.",
        "Son las catorce y treinta del veintiocho de septiembre de dos mil veinticinco y hace "
        "menos tres coma cinco grados.",
    ),
    (
        "Cuesta 1.234,56 € (IVA incluido).",
        "Cuesta mil doscientos treinta y cuatro euros con cincuenta y seis céntimos, IVA incluido.",
    ),
    ("¿Cuánto es 2 + 2? ¡Es 4!", "¿Cuánto es dos más dos? ¡Es cuatro!"),
    (
        "Nació en 1999, el 1 de mayo.",
        "Nació en mil novecientos noventa y nueve, el uno de mayo.",
    ),
    ("«Hola», dijo él.", "Hola, dijo él."),
    ('Dijo "sí" – y se fue.', "Dijo sí — y se fue."),
    ("De 9:00 a 18:00.", "De nueve en punto a dieciocho en punto."),
    ("Tel.: 612 345 678", "teléfono: seis uno dos, tres cuatro cinco, seis siete ocho"),
    (
        "21 años, 31 casas, 500 páginas y 1 hora",
        "veintiún años, treinta y una casas, quinientas páginas y una hora",
    ),
    ("21 días, 200 problemas y 1 mano", "veintiún días, doscientos problemas y una mano"),
    ("El 50% de descuento.", "El cincuenta por ciento de descuento."),
    ("½ kilo y 2½ tazas", "un medio kilo y dos y un medio tazas"),
    ("$1,234.50", "mil doscientos treinta y cuatro dólares con cincuenta centavos"),
    ("100 mil dólares y 1.5 millones", "cien mil dólares y uno punto cinco millones"),
    ("10 000 € y 5 000 000", "diez mil euros y cinco millones"),
    ("Terminó en mil. 5 gatos.", "Terminó en mil. cinco gatos."),
    ("Vitamina B12 en 3D", "Vitamina be doce en tres de"),
    ("1.000.000 personas, 21.000 casas", "un millón de personas, veintiún mil casas"),
    ("A las 10 pm, no a las 10 am.", "A las diez de la noche, no a las diez de la mañana."),
    ("ana.lopez@correo.es", "ana punto lopez arroba correo punto es"),
    ("Habla el Dr. Gil.", "Habla el doctor Gil."),
    ("Hay pan, vino, etc.", "Hay pan, vino, etcétera."),
    ("zqaqz tiene 3 zqbqz", "zqaqz tiene tres zqbqz"),  # stands for a pronunciation
]
WORDS = (
    "el la de que y a en un ser se no haber por con su para como estar tener le lo todo pero más "
    "niño corazón pingüino México bien-hecho ¿qué ¡hola ONU"
).split()
WRITTEN = st.sampled_from(
    "28/09/2025|2025-09-28|31/13/2024|14:30|9:00-18:00|3,5%|-3 °C|3,50 €|$3.50|1.234|1,234.5|3-5"
    "|10–20 €|1/2|½|612 345 678|+34 91 123 45|5 kg|20 m²|60 km/h|3.12.1|a@b.com|www.x.es|+|-|×|="
    "|<|&|#5|@|007|①|x²|10⁶|(|)|«|»|C++|1.|~5|100 %|2.ª|1.º|3er|3D|siglo XX|EE. UU.|p. ej.|etc."
    "|Sr.|--|...|\"|'|5 a. m.|12 pm|1e5|45°|12:3:4|0,50 €|5 M€|1 000|9.99|5.|٣|99:99".split("|")
)
MIXED = st.lists(st.one_of(WRITTEN, st.sampled_from(WORDS)), max_size=12).map(" ".join)
DENSE = st.text("0123456789.:/-–~+*'\"()$€%°ºª²½ aAmkgheLXV#&@_=<>,\n", max_size=200)
ANY_TEXT = st.text(st.characters(max_codepoint=0x1FFFF), max_size=200)


@pytest.mark.parametrize(("text", "words"), SENTENCES)
def test_a_sentence_is_read_as_a_person_would(text: str, words: str) -> None:
    assert to_words(text) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "cero"),
        ("16", "dieciséis"),
        ("101", "ciento uno"),
        ("21000", "veintiún mil"),
        ("31.000", "treinta y un mil"),
        ("21000000", "veintiún millones"),
        ("1000000000000", "un billón"),
        ("007", "cero cero siete"),
        ("9999999999999999", " ".join(["nueve"] * 16)),
    ],
)
def test_cardinals(value: str, words: str) -> None:
    assert cardinal(value) == words


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("1.234", "mil doscientos treinta y cuatro"),
        ("1 234", "mil doscientos treinta y cuatro"),
        ("1,234,567", "un millón doscientos treinta y cuatro mil quinientos sesenta y siete"),
        ("1,234", "uno coma dos tres cuatro"),
        ("0.125", "cero punto uno dos cinco"),
        ("1.234,5", "mil doscientos treinta y cuatro coma cinco"),
        ("1,234.5", "mil doscientos treinta y cuatro punto cinco"),
        ("3,75", "tres coma setenta y cinco"),
        ("3,05", "tres coma cero cinco"),
        ("1234.567", "mil doscientos treinta y cuatro punto cinco seis siete"),
    ],
)
def test_marks_in_numbers(written: str, words: str) -> None:
    assert number(written) == words


def test_ordinals_agree_and_end_with_the_twelfth() -> None:
    written = ((1, "er"), (1, "ª"), (7, "º"), (12, "º"), (21, "ª"), (0, "º"))
    said = [ordinal(value, ending) for value, ending in written]
    assert said == ["primer", "primera", "séptimo", "duodécimo", "veintiuna", "cero"]


def assert_is_words(text: str) -> None:
    spoken = to_words(text)
    rest = re.sub(r"(?<=\w)['’-](?=\w)", "", spoken)
    assert not [c for c in rest if not (c.isalpha() or c in " ,.;:!?¿¡…—")], (text, spoken)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map(" ".join))
def test_plain_prose_comes_out_unchanged(text: str) -> None:
    assert to_words(text) == text


@given(st.one_of(MIXED, DENSE))
@settings(max_examples=400, deadline=None)
def test_written_forms_become_words(text: str) -> None:
    assert_is_words(text)


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read(text: str) -> None:
    assert not any(char.isdigit() for char in to_words(text))


@given(MIXED)
@settings(deadline=None)
def test_no_word_of_the_prose_is_lost(text: str) -> None:
    spoken = to_words(text)
    assert all(word in spoken for word in ("niño", "corazón", "México") if word in text)


@pytest.mark.parametrize(
    "unit",
    ["1.", "1,", "1 ", "1-", "1/", "1:", "$1", "1 €", "a.", "a@", "(", "- ", "1.111", "…,", "B "],
)
def test_a_long_text_takes_time_in_proportion(unit: str) -> None:
    def seconds(count: int) -> float:
        begun = time.process_time()
        to_words(unit * count)
        return time.process_time() - begun

    seconds(10)  # the packages are loaded
    assert seconds(8_000) < 20 * seconds(2_000) + 0.5


def test_the_plugin_offers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = load_plugin("spanish_normalizer")
    (spec,) = plugin.register_normalizers()
    assert spec.language == "es"
    assert spec.start(Settings())("2 gatos") == "dos gatos"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert plugin.register_normalizers() == []
