"""The plan of a text: segments as they are written, and as an engine gets them."""

from collections.abc import Callable

import pytest

from voxcpm_openai import Normalizer, Segment, Settings
from voxcpm_openai.contracts import Pronunciation
from voxcpm_openai.text import clean
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.text.normalizers import Normalizers
from voxcpm_openai.text.plan import TextPlan, plan
from voxcpm_openai.text.segments import SpokenSegments


def of(words: Callable[[str], str], language: str = "en") -> Normalizers:
    spec = Normalizer(language, lambda _settings: words)
    return Normalizers({language: spec}, Settings())


def planned(
    text: str,
    normalizers: Normalizers | None = None,
    *,
    language: str = "en",
    fixed: bool = False,
    phonemes: bool = False,
) -> TextPlan:
    marks = Marks()
    return plan(
        clean(text, marks),
        marks,
        language=language,
        fixed=fixed,
        normalizers=normalizers,
        phonemes=phonemes,
    )


def test_without_a_normalizer_the_text_stays_as_it_is_written() -> None:
    said = planned("It costs $5. Yes.")
    assert [segment.text for segment in said.segments] == ["It costs $5.", "Yes."]
    assert said.segments == said.written
    assert not said.words


def test_words_are_made_of_a_segment_when_it_is_read_and_once() -> None:
    read: list[str] = []

    def words(text: str) -> str:
        read.append(text)
        return text.lower()

    said = planned("One. Two. Three.", of(words))
    assert read == []
    assert said.segments[0].text == "one."
    assert read == ["One."]
    assert [segment.text for segment in said.segments] == ["one.", "two.", "three."]
    assert [segment.text for segment in said.segments] == ["one.", "two.", "three."]
    assert read == ["One.", "Two.", "Three."]
    assert [segment.text for segment in said.written] == ["One.", "Two.", "Three."]


def test_spoken_segments_are_a_sequence() -> None:
    made = SpokenSegments([Segment("a"), Segment("b"), Segment("c")], lambda segment: segment)
    assert len(made) == 3
    assert made[-1].text == "c"
    assert [segment.text for segment in made[1:]] == ["b", "c"]
    with pytest.raises(IndexError):
        made[3]


def test_each_segment_has_words_in_its_own_language() -> None:
    said = planned("Hello. 你好。 Bye.", of(str.upper))
    assert [segment.text for segment in said.segments] == ["HELLO.", "你好。", "BYE."]


def test_the_language_of_the_request_wins() -> None:
    said = planned("Hello. 你好。", of(str.upper, "zh"), language="zh", fixed=True)
    assert [segment.text for segment in said.segments] == ["HELLO.", "你好。"]
    assert said.language == "zh"


def test_a_segment_of_which_no_word_is_left_is_a_full_stop() -> None:
    said = planned("One. * Two.", of(lambda text: "" if "*" in text else text))
    assert all(segment.text for segment in said.segments)


def test_pauses_rates_and_the_lead_reach_the_segments() -> None:
    said = planned("[pause:1s] One [pause:500ms] two. <prosody rate='200%'>Three.</prosody>")
    assert said.lead == 1.0
    assert [(s.text, s.pause, s.rate) for s in said.segments] == [
        ("One", 0.5, 1.0),
        ("two.", 0.35, 1.0),
        ("Three.", 0.0, 2.0),
    ]
    assert said.fastest == 2.0


SSML = "I say <phoneme ph='tuː'>2</phoneme>, <phoneme ph='θɹiː'>three</phoneme>."


def test_pronunciations_are_placed_in_the_text() -> None:
    (segment,) = planned(SSML, phonemes=True).segments
    assert segment.text == "I say 2, three."
    assert segment.pronunciations == (Pronunciation(6, 7, "tuː"), Pronunciation(9, 14, "θɹiː"))


def test_pronunciations_are_placed_in_the_words() -> None:
    (segment,) = planned(SSML, of(lambda t: t.replace("2", "two")), phonemes=True).segments
    assert segment.text == "I say two, three."
    assert [segment.text[p.start : p.end] for p in segment.pronunciations] == ["two", "three"]
    assert [p.ipa for p in segment.pronunciations] == ["tuː", "θɹiː"]


def test_a_normalizer_that_takes_pronunciations_apart_gets_their_text() -> None:
    (segment,) = planned(SSML, of(lambda t: t.replace("q", "k")), phonemes=True).segments
    assert (segment.text, segment.pronunciations) == ("I say 2, three.", ())


def test_an_engine_without_phonemes_gets_the_text() -> None:
    (segment,) = planned(SSML).segments
    assert (segment.text, segment.pronunciations) == ("I say 2, three.", ())


def test_the_plan_as_json_shows_what_is_said() -> None:
    said = planned("Say <phoneme ph='tuː'>2</phoneme> x.", of(str.upper), phonemes=True)
    assert said.as_json() == {
        "language": "en",
        "segments": [
            {
                "text": "Say 2 x.",
                "spoken": "SAY 2 X.",
                "pause": 0.0,
                "pronunciations": [{"start": 4, "end": 5, "ipa": "tuː"}],
            }
        ],
    }
    assert planned("[pause:1s] Hi.").as_json() == {
        "language": "en",
        "lead": 1.0,
        "segments": [{"text": "Hi.", "pause": 0.0}],
    }
