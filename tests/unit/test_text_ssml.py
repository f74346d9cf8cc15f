"""SSML is read: pauses, aliases, spelled words, pronunciations and rates."""

import pytest

from voxcpm_openai.contracts import Segment
from voxcpm_openai.text import clean, lead, speakable, split
from voxcpm_openai.text.marks import Marks, Pause, Phonemes, Rate


def described(text: str) -> str:
    """Clean a text; show its marks in braces."""
    marks = Marks()
    shown = []
    for char in clean(text, marks):
        mark = marks.get(char)
        match mark:
            case Pause():
                shown.append(f"{{{mark.seconds:g}s}}")
            case Rate():
                shown.append(f"{{x{mark.factor:g}}}")
            case Phonemes():
                shown.append(f"{{{mark.text}={mark.ipa}}}")
            case None:
                shown.append(char)
    return "".join(shown)


PAUSES = [
    ('a<break time="500ms"/>b', "a {0.5s} b"),
    ("a <BREAK TIME='1.5s' /> b", "a {1.5s} b"),
    ('<ssml:break strength="weak" ssml:time = "+.5s"></ssml:break>a', "{0.5s} a"),
    ("a <break time=2s> b", "a {2s} b"),
    ('a <break time="99s"/> b', "a {10s} b"),
    ('a <break time="soon"/> b <break time=""/> c', "a b c"),
    ("a <break/> b", "a {0.4s} b"),
    *[
        (f"a <break strength='{strength}'/> b", f"a {{{seconds}s}} b")
        for strength, seconds in [
            ("none", "0"),
            ("x-weak", "0.1"),
            ("weak", "0.2"),
            ("medium", "0.4"),
            ("strong", "0.7"),
            ("x-strong", "1.2"),
        ]
    ],
    ("a <break strength='odd'/> b", "a b"),
    ("a [pause:1s] b [pause: 1.5 s] c [PAUSE:500ms] d", "a {1s} b {1.5s} c {0.5s} d"),
    ("[pause] [pause 1s] [pause1s] a", "[pause] {1s} {1s} a"),
    ("a [pause:1.5] b [pause:2 seconds] c [pause: 300 ms] d", "a {1.5s} b {2s} c {0.3s} d"),
    ("a [pause:nan] b [pause:-1s] c [pause:x] d [pause:1h] e", "a b c d e"),
    (f"a [pause:{'9' * 30}s] b [pause:{'9' * 900}s] c", "a {10s} b c"),
    (f"a <break time='{'9' * 30}s'/> b", "a {10s} b"),
    ("One.\n<break time='1s'/>\nTwo.", "One.\n{1s}\nTwo."),
    ("Yes <break time='1s'/>. No", "Yes{1s}. No"),
    ("`<break time='1s'/>` is code", "<break time='1s'/> is code"),
    ("<!-- <break time='1s'/> -->a", "a"),
    ("a \U000f0000\U000f8000\U00100000&#xF0000; b", "a b"),
]
WORDS = [
    ('<sub alias="World Wide Web">WWW</sub> is', "World Wide Web is"),
    ("<sub alias='a &lt; *b* &amp; c > d'>x</sub>", "a < *b* & c > d"),
    ("<sub alias='x'>never closed", "never closed"),
    ("H<sub>2</sub>O", "H2O"),
    ("<sub alias='x'>a <sub alias='y'>b</sub> c</sub> d", "x d"),
    ("<sub alias='x'>H<sub>2</sub>O <say-as interpret-as='digits'>1</sub> d", "x d"),
    ("<s>One</s><s>Two</s>", "One\nTwo"),
    ("<speak><p><s>One.</s> <s>Two.</s></p><p>Three</p></speak>", "One.\nTwo.\n\nThree"),
    ("I <s>ha</s>te it", "I hate it"),
    *[
        (f"<say-as interpret-as='{kind}'>{text}</say-as>", said)
        for kind, text, said in [
            ("characters", "ABC1", "A B C 1"),
            ("spell-out", "ab é", "A B, É"),
            ("digits", "12345", "1 2 3 4 5"),
            ("digits", "12-34", "1 2, 3 4"),
            ("telephone", "+1 (212) 555-0100", "+1, 2 1 2, 5 5 5, 0 1 0 0"),
            ("telephone", "1-800-FLOWERS", "1, 8 0 0, FLOWERS"),
            ("cardinal", "12", "12"),
            ("characters", "<b>a</b>&amp;+", "A & +"),
            ("characters", "", ""),
        ]
    ],
    *[
        (f"<say-as format='{form}' interpret-as='date'>{text}</say-as>", said)
        for form, text, said in [
            ("mdy", "10/01/2025", "2025-10-01"),
            ("dmy", "10.1.2025", "2025-01-10"),
            ("yyyymmdd", "20251001", "2025-10-01"),
            ("ymd", "25-10-1", "2025-10-01"),
            ("dmy", "1.2.85", "1985-02-01"),
            ("mdy", "13/40/2025", "13/40/2025"),
            ("md", "10/01", "10/01"),
            ("dm", "5/6", "6/5"),
            ("ddmm", "31.12.", "12/31"),
            ("dm", "12/31", "12/31"),
            ("mdy", "May 1, 2025", "May 1, 2025"),
            ("", "10/01/2025", "10/01/2025"),
        ]
    ],
]
SPOKEN = [
    ('<phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme>s', "{tomato=təˈmeɪtoʊ}s"),
    ("<phoneme ph='t&#x259;'>**to**</phoneme>", "{to=tə}"),
    ("<phoneme alphabet='x-sampa' ph='t@'>tomato</phoneme>", "tomato"),
    ("<phoneme alphabet='ipa' ph=''>a</phoneme> <phoneme ph='x'/>", "a"),
    ("<prosody rate='slow'>a</prosody> b", "{x0.75}a{x1} b"),
    ("<prosody rate='80%'>a <prosody rate='+50%'>b</prosody> c</prosody>", None),
    ("<prosody rate='1.2'>a</prosody><prosody rate='-20%'>b", "{x1.2}a{x1}{x0.8}b"),
    ("<prosody rate='900%'>a</prosody>", "{x4}a{x1}"),
    ("<prosody rate='medium' pitch='high'>a</prosody> </prosody>b", "a b"),
    ("<prosody rate='0'>a</prosody> <prosody rate='-500%'>b</prosody>", "a b"),
    ("<prosody rate='fast'>\na\n</prosody>", "{x1.25}\na{x1}"),
]
NESTED = "{x0.8}a {x1.2}b{x0.8} c{x1}"


@pytest.mark.parametrize(("text", "said"), PAUSES + WORDS + SPOKEN)
def test_read(text: str, said: str | None) -> None:
    assert described(text) == (NESTED if said is None else said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PAUSES[0][0], "a b"),
        ("One.\n[pause:1s]\nTwo.", "One.\n\nTwo."),
        (SPOKEN[0][0], "tomatos"),
        (SPOKEN[4][0], "a b"),
        ("<?xml version='1.0'?>\n<speak version='1.1'>\nHi\n</speak>", "Hi"),
        ("<say-as><sub alias='x'>y</sub> z</say-as> <sub alias='", "x z <sub alias='"),
    ],
)
def test_without_marks(text: str, said: str) -> None:
    assert clean(text) == said


def segments(text: str) -> list[tuple[str, float, float]]:
    """Return the segments of a text, with their pauses and rates."""
    marks = Marks()
    return [(marks.plain(s.text), s.pause, s.rate) for s in split(clean(text, marks), marks)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. [pause:1s] Two.", [("One.", 1, 1), ("Two.", 0, 1)]),
        ("One [pause:1s] two.", [("One", 1, 1), ("two.", 0, 1)]),
        ("One [pause:1s]. Two [pause:2s]", [("One.", 1, 1), ("Two", 2, 1)]),
        ("[pause:3s] One [pause:1s] [pause:500ms] two", [("One", 1.5, 1), ("two", 0, 1)]),
        ("One [pause:8s] [pause:8s] two", [("One", 10, 1), ("two", 0, 1)]),
        ("One.\n\n[pause:1s]\n\nTwo.", [("One.", 1, 1), ("Two.", 0, 1)]),
        ("Dr. [pause:1s] No.", [("Dr.", 1, 1), ("No.", 0, 1)]),
        ("One. <break strength='none'/> Two.", [("One.", 0, 1), ("Two.", 0, 1)]),
        ("One <break strength='none'/> two.", [("One two.", 0, 1)]),
        ("a <prosody rate='2'>b</prosody> c", [("a", 0, 1), ("b", 0, 2), ("c", 0, 1)]),
        (
            "An a. <prosody rate='2'>“Bob.”</prosody> Cat.",
            [("An a.", 0.35, 1), ("“Bob.”", 0.35, 2), ("Cat.", 0, 1)],
        ),
        ("e.g. <phoneme ph='x'>Bob</phoneme> is", [("e.g. Bob is", 0, 1)]),
        ("So. <phoneme ph='x'>it</phoneme> is", [("So. it is", 0, 1)]),
    ],
)
def test_segments(text: str, expected: list[tuple[str, float, float]]) -> None:
    assert segments(text) == expected


def test_lead() -> None:
    marks = Marks()
    text = clean("[pause:1s] <prosody rate='2'>[pause:1s] One [pause:1s]", marks)
    assert lead(text, marks) == 2
    assert split(text, marks) == (Segment("One", 1, 2),)
    assert lead("One", None) == lead("", marks) == 0


def test_a_text_of_marks_only() -> None:
    marks = Marks()
    text = clean("[pause:1s]", marks)
    assert text
    assert not speakable(text)
    assert split(text, marks) == ()
    assert lead(text, marks) == 1
    spoken = clean("<phoneme ph='x'>a</phoneme>", marks)
    assert speakable(spoken)
    assert [s.text for s in split(spoken, marks)] == [spoken]


def test_pronunciations_weigh_as_their_text() -> None:
    marks = Marks()
    word = marks.add(Phonemes("a" * 50, "a"))
    assert [len(s.text) for s in split(" ".join([word] * 6), marks, 240, 120)] == [3, 7]


def test_too_many_marks_are_ignored() -> None:
    marks = Marks()
    text = clean("a [pause:1ms] " * 40_000, marks)
    assert text.count("a") == 40_000
