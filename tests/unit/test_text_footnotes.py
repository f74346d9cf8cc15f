"""Footnote marks are dropped; powers, indices and numbers stay."""

import pytest

from voxcpm_openai.text import clean

DROPPED = [
    ("He was ill.¹⁴ The end.", "He was ill. The end."),
    ("“The end.”¹⁵ So they say.", "“The end.” So they say."),
    ('He said "no"² and left,³ then⁴ slept (well)⁵.', 'He said "no" and left, then slept (well).'),
    ("a word¹² and another¹,² or more¹⁻³", "a word and another or more"),
    ("¹See the text. “²Quoted”", "See the text. “Quoted”"),
    ("¹ See the text.", "See the text."),
    ("In London (1990)³ it rained (as he said)².", "In London (1990) it rained (as he said)."),
    ("what he believed in³ and saw at²", "what he believed in and saw at"),
    ("**bold**¹ and *it*²", "bold and it"),
    ("It rose 45%¹.", "It rose 45%."),
    ("北京是首都。³好 北京⁴很大", "北京是首都。好 北京很大"),
    ("Das Wort³ und Größe⁴", "Das Wort und Größe"),
    ("word<sup>12</sup> here", "word here"),
    ("He was ill.14 The end.", "He was ill. The end."),
    ("“He was ill.”14 The end.", "“He was ill.” The end."),
    ("He was ill.14,15 “The end” came.2", "He was ill. “The end” came."),
    ("It was late!3 Really?4", "It was late! Really?"),
    ("in 1990.[3] The city[4] is old,[5][6] see[7].", "in 1990. The city is old, see."),
    ("in 1990[3] he said “so”[12] (well)[13].", "in 1990 he said “so” (well)."),
    ("the city[3,4] and[note 2] more[nb 1]", "the city and more"),
    ("北京[3]是首都。[4]", "北京是首都。"),
    ("It is so.[citation needed] History[edit]", "It is so. History"),
    ("so [citation needed] it is[who?]", "so it is"),
    ("Geschichte[Bearbeiten | Quelltext bearbeiten]", "Geschichte"),
    ("Name† and end.‡ So", "Name and end. So"),
]

KEPT = [
    "10⁶, 10⁻⁶, 5², 2⁸ and 10¹²",
    "x² + y² = z²",
    "E = mc², ax² + bx, πr², Δx²",
    "(a + b)² and f(x)² and (x)³ and [x]²",
    "sin² x + cos² x, log² n, tan⁻¹ x",
    "20 m², 3 km², cm³, ft², 5 in³, 5 min², dm³, 20 м², 5 km²",
    "s⁻¹, m·s⁻¹, kg·m², m/s², kg·m⁻³, mol⁻¹, word⁻¹, lb/in²",
    "5 meters², 5 square",
    "²³⁵U, ¹⁴C, ³He, ¹³¹I and ⁶⁰Co",
    "Ca²⁺, SO₄²⁻, Fe³⁺, H₂O",
    "x ² y",
    "R² is 0.9",
    "20m² in 每m²",
    "version 2.4",
    "It costs $3.50",
    "at 5.30 The show began",
    "Section 4.12 The end",
    "see Fig.3 The end",
    "Python 3.11 Is new",
    "See No.5 The end.",
    "open example.14 the",
    "a[3], arr[0], matrix[i][j], items[2], x = list[5], userNames[3] is",
    "get(a)[1] and names[1] (code)",
    "Click [edit] to change it [3] times.",
    "John Smith †1990, † 2000",
    "[sic] and [Bob]",
]


@pytest.mark.parametrize(("text", "said"), DROPPED)
def test_footnote_marks_are_dropped(text: str, said: str) -> None:
    assert clean(text) == said


@pytest.mark.parametrize("text", KEPT)
def test_powers_and_indices_stay(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10<sup>6</sup>, m<sup>2</sup>, 10<sup>-6</sup>", "10⁶, m², 10⁻⁶"),
        ("1<sup>st</sup>, H<sub>2</sub>O", "1st, H2O"),
    ],
)
def test_raised_numbers(text: str, said: str) -> None:
    assert clean(text) == said
