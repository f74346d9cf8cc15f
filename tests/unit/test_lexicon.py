"""Lexicons: which places of a text a rule matches, and what is put there."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.text import clean
from voxcpm_openai.text.lexicon import Lexicon, LexiconRule, RuleError
from voxcpm_openai.text.marks import PHONEMES, Marks, Pause, Phonemes

Rule = LexiconRule


def apply(text: str, *rules: LexiconRule, phonemes: bool = False) -> str:
    return Lexicon(rules).apply(text, Marks(), phonemes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nguyen", "win"),
        ("Ask Nguyen, please.", "Ask win, please."),
        ("NGUYEN and nguyen", "win and win"),
        ("(Nguyen) “Nguyen” *Nguyen*", "(win) “win” *win*"),
        ("Nguyen's, Nguyen’s, NGUYEN'S", "win's, win’s, win'S"),
        ("Nguyen'll, Nguyen’d, Nguyen've", "win'll, win’d, win've"),
        ("Nguyen-Smith or Smith-Nguyen", "win-Smith or Smith-win"),
        ("l'Nguyen", "l'win"),
        ("Nguyens Nguyen2 xNguyen 2Nguyen", "Nguyens Nguyen2 xNguyen 2Nguyen"),
        ("Nguyen't Nguyen'sx Nguyen'in", "Nguyen't Nguyen'sx Nguyen'in"),
        ("Nguyen\u0301 Nguye\u0301n", "Nguyen\u0301 Nguye\u0301n"),
        ("我叫Nguyen。ПNguyen", "我叫win。ПNguyen"),
        ("Nguyen\nNguyen", "win\nwin"),
        ("", ""),
    ],
)
def test_a_rule_matches_whole_words_in_any_case(text: str, expected: str) -> None:
    assert apply(text, Rule("Nguyen", alias="win")) == expected


def test_an_apostrophe_within_a_word_is_no_border() -> None:
    rules = (Rule("can", alias="tin"), Rule("don", alias="dawn"), Rule("o", alias="oh"))
    assert apply("I can, I can't, don't, five o'clock", *rules) == (
        "I tin, I can't, don't, five o'clock"
    )


def test_both_apostrophes_are_the_same() -> None:
    for rule in ("O'Brien", "O’Brien"):
        assert apply("O'Brien O’Brien Oʼbrien", Rule(rule, alias="x")) == "x x x"


def test_a_number_is_not_replaced_inside_a_longer_one() -> None:
    text = "5, 5. 5.5 1,500 05 5G 5"
    assert apply(text, Rule("5", alias="five")) == "five, five. 5.5 1,500 05 5G five"


def test_case_sensitive_rules_match_as_written() -> None:
    rule = Rule("US", alias="United States", case_sensitive=True)
    assert apply("The US told us.", rule) == "The United States told us."


def test_without_word_boundaries_a_rule_matches_inside_words() -> None:
    rule = Rule("gif", alias="jif", word_boundaries=False)
    assert apply("gif, Gifs, agif", rule) == "jif, jifs, ajif"


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (Rule("東京", alias="Tokyo"), "iPhone東京is 東京都", "iPhone Tokyo is Tokyo都"),
        (Rule("東京", alias="とうきょう"), "私は東京都に住む", "私はとうきょう都に住む"),
        (Rule("重庆", alias="从庆"), "去重庆吧，重庆！", "去从庆吧，从庆！"),
        (Rule("T恤", alias="体恤"), "一件T恤衫 AT恤", "一件体恤衫 AT恤"),
        (Rule("서울", alias="Seoul"), "서울에서", "Seoul에서"),
    ],
)
def test_wide_text_has_no_word_borders(rule: LexiconRule, text: str, expected: str) -> None:
    assert apply(text, rule) == expected


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("C++", "C, C++ and C++11, XC++", "C, x and x11, XC++"),
        (".NET", "ASP.NET, .NET .NETs", "ASPx, x .NETs"),
        ("@home", "work@home @home", "workx x"),
        ("New York", "New York's New Yorker new york", "x's New Yorker x"),
        ("straße", "STRASSE Straße STRAẞE", "STRASSE x x"),
        ("İzmir", "İzmir", "x"),
        ("ΟΔΟΣ", "οδος οδοσ", "x x"),
        ("e\u0301te\u0301", "été Été", "x x"),
        ("5 ₽", "5 ₽", "x"),
        ("की", "की कीमत क", "x कीमत क"),
    ],
)
def test_a_rule_may_have_any_characters(rule: str, text: str, expected: str) -> None:
    assert apply(text, Rule(rule, alias="x")) == expected


def test_the_longest_match_wins_wherever_it_stands() -> None:
    rules = [Rule("New York", alias="NY"), Rule("New", alias="N"), Rule("York", alias="Y")]
    for order in (rules, rules[::-1]):
        assert apply("New York York New", *order) == "NY Y N"


def test_an_alias_is_not_read_again() -> None:
    rules = (Rule("a", alias="b"), Rule("b", alias="a b"))
    assert apply("a b", *rules) == "b a b"


def test_in_one_source_case_wins_and_then_the_last() -> None:
    rules = (Rule("it", alias="first"), Rule("IT", alias="i t", case_sensitive=True))
    assert apply("it IT", *rules, Rule("it", alias="last")) == "last i t"


def test_for_the_same_text_a_later_source_wins() -> None:
    server = Lexicon([Rule("Nguyen", alias="one", case_sensitive=True), Rule("Ann", alias="an")])
    voice = Lexicon([Rule("nguyen", alias="two")])
    assert Lexicon.merged(server, voice).apply("Nguyen Ann", Marks(), False) == "two an"
    assert Lexicon.merged(voice, server).apply("Nguyen Ann", Marks(), False) == "one an"
    assert len(Lexicon.merged(server, voice, Lexicon())) == 3
    longer = Lexicon([Rule("Ann Nguyen", alias="three")])
    assert Lexicon.merged(longer, voice).apply("Ann Nguyen", Marks(), False) == "three"


def test_pronunciations_become_marks() -> None:
    marks = Marks()
    lexicon = Lexicon([Rule("Nguyen", ipa="wɪn"), Rule("Ann", alias="an")])
    text = lexicon.apply("Ann nguyen's", marks, True)
    assert text == f"an {text[3]}'s"
    assert marks.get(text[3]) == Phonemes("nguyen", "wɪn")
    assert marks.plain(text) == "an nguyen's"


def test_without_phonemes_a_pronunciation_does_not_exist() -> None:
    rules = (Rule("Ann", alias="an"), Rule("Ann Nguyen", ipa="æn wɪn"), Rule("Ann", ipa="æn"))
    assert apply("Ann Nguyen", *rules) == "an Nguyen"
    assert apply("Nguyen", Rule("Nguyen", ipa="wɪn")) == "Nguyen"


def test_a_rule_with_both_uses_the_alias_only_without_phonemes() -> None:
    rule = Rule("Nguyen", alias="win", ipa="wɪn")
    assert apply("Nguyen", rule) == "win"
    assert apply("Nguyen", rule, phonemes=True) not in ("win", "Nguyen")


def test_other_marks_stay_and_are_borders() -> None:
    marks = Marks()
    pause, said = marks.add(Pause(1.0)), marks.add(Phonemes("Bo", "boʊ"))
    lexicon = Lexicon([Rule("Ann", ipa="æn"), Rule("a b", alias="x"), Rule("Bo", alias="x")])
    text = lexicon.apply(f"Ann{pause}Ann {said} a{pause}b", marks, True)
    assert text == f"{text[0]}{pause}{text[2]} {said} a{pause}b"
    assert marks.get(text[2]) == Phonemes("Ann", "æn")


def test_with_too_many_marks_the_text_stays() -> None:
    marks = Marks()
    room = ord(PHONEMES[2]) - ord(PHONEMES[0]) + 1
    text = Lexicon([Rule("a", ipa="eɪ")]).apply("a " * (room + 2), marks, True)
    assert text.endswith(" a a ")


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"text": "", "alias": "x"}, "text", "1 to 200 characters, not 0"),
        ({"text": " \n", "alias": "x"}, "text", "1 to 200 characters, not 0"),
        ({"text": "x" * 201, "alias": "x"}, "text", "not 201"),
        ({"text": 7, "alias": "x"}, "text", "a string"),
        ({"text": "🙂", "alias": "x"}, "text", "never read aloud"),
        ({"text": "\U000f0000", "alias": "x"}, "text", "never read aloud"),
        ({"text": "\ud800", "alias": "x"}, "text", "never read aloud"),
        ({"text": "x"}, "alias", "required"),
        ({"text": "x", "alias": ""}, "alias", "1 to 200 characters"),
        ({"text": "x", "alias": "~"}, "alias", "nothing that can be spoken"),
        ({"text": "x", "alias": "!!"}, "alias", "nothing that can be spoken"),
        ({"text": "x", "alias": "a\U000f0001b"}, "alias", "never read aloud"),
        ({"text": "x", "alias": ["y"]}, "alias", "a string"),
        ({"text": "x", "ipa": ""}, "ipa", "1 to 200 characters"),
        ({"text": "x", "ipa": "W IH1 N"}, "ipa", "in IPA"),
        ({"text": "x", "ipa": "ˈ"}, "ipa", "in IPA"),
        ({"text": "x", "ipa": "w\U000f0001n"}, "ipa", "in IPA"),
        ({"text": "x", "alias": "y", "case_sensitive": "no"}, "case_sensitive", "true or false"),
        ({"text": "x", "alias": "y", "word_boundaries": 1}, "word_boundaries", "true or false"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(
    fields: dict[str, object], field: str, problem: str
) -> None:
    with pytest.raises(RuleError, match=problem) as caught:
        LexiconRule(**fields)
    assert caught.value.field == field


def test_a_rule_is_kept_in_the_form_of_cleaned_texts() -> None:
    rule = Rule("  Ｎｅｗ \n York ", alias=" new\tyork\n", ipa="/ njuː /")
    assert rule == Rule("New York", alias="new york", ipa="njuː")
    assert apply(clean("Ｎｅｗ　York"), rule) == "new york"


WORDS = st.text(st.characters(codec="utf-8"), max_size=200)
RULE_TEXTS = st.text(st.sampled_from("ab'’. 5東İßक\u0301\u093f\U000f0000"), min_size=1, max_size=4)


def rule_or_none(text: str, inside: bool, exact: bool) -> LexiconRule | None:
    try:
        return Rule(text, alias="alias", case_sensitive=exact, word_boundaries=not inside)
    except RuleError:
        return None


RULES = st.lists(st.builds(rule_or_none, RULE_TEXTS, st.booleans(), st.booleans()), max_size=6)


@settings(max_examples=300, deadline=None)
@given(text=WORDS | RULE_TEXTS.map(lambda part: part * 5), found=RULES)
def test_a_text_without_the_rules_texts_stays_as_it_is(
    text: str, found: list[LexiconRule | None]
) -> None:
    rules = [rule for rule in found if rule]
    result = Lexicon(rules).apply(text, Marks(), True)
    folded = text.replace("’", "'").casefold()
    if not any(rule.text.replace("’", "'").casefold() in folded for rule in rules):
        assert result == text
    rest = set(result) - set("alias")
    assert rest <= set(text)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.sampled_from(["Nguyen", "win", "Nguyens", "a", "東京"]), max_size=20))
def test_between_spaces_exactly_the_rules_words_are_replaced(words: list[str]) -> None:
    expected = [{"Nguyen": "win", "東京": "x"}.get(word, word) for word in words]
    rules = (Rule("nguyen", alias="win"), Rule("東京", alias="x"))
    assert apply(" ".join(words), *rules) == " ".join(expected)


def seconds(lexicon: Lexicon, text: str) -> float:
    """Return the shortest of three times of ``apply``."""
    lexicon.apply("", Marks(), False)
    taken = []
    for _ in range(3):
        before = time.perf_counter()
        lexicon.apply(text, Marks(), False)
        taken.append(time.perf_counter() - before)
    return min(taken)


def test_ten_thousand_rules_are_quick_and_linear() -> None:
    names = [f"name{number:x}" for number in range(10_000)]
    lexicon = Lexicon([Rule(name, alias="x") for name in names])
    text = " ".join(f"{name} and others" for name in names)
    assert lexicon.apply(text, Marks(), False) == " ".join(["x and others"] * 10_000)
    assert seconds(lexicon, text[:4096]) < 0.03  # 1 ms where nothing else runs
    assert seconds(lexicon, text) < 1.5  # 60 ms


@pytest.mark.parametrize("whole", [True, False])
def test_hostile_rules_take_linear_time(whole: bool) -> None:
    step = "a " if whole else "a"
    rules = [Rule(step * n + "b", alias="x", word_boundaries=whole) for n in range(1, 99)]
    lexicon = Lexicon(rules)
    short, long = (seconds(lexicon, step * n) for n in (2_000, 20_000))
    assert long < 25 * short + 0.05
