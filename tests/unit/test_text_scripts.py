"""Which text can be spoken, and which letters are foreign to a voice's languages."""

import pytest

from voxcpm_openai.text import foreign_letters, is_foreign, speakable, to_latin
from voxcpm_openai.text.marks import Marks, Phonemes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            (yes, True)
            for yes in ("a", "1", "你", "é", "²", "½", ".", "...", "!?", "。", " … ", "%", "&")
        ],
        *[(yes, True) for yes in ("@", "+", "=", "--a--", "٣", "$")],
        *[
            (no, False)
            for no in (
                "",
                " ",
                "🎉",
                "\u200b",
                "---",
                "***",
                "()",
                '"',
                "\u0301",
                "—.",
                "<",
                "<><>",
                "¹",
            )
        ],
    ],
)
def test_speakable(text: str, expected: bool) -> None:
    assert speakable(text) is expected


@pytest.mark.parametrize(
    ("text", "languages", "foreign"),
    [
        ("Hello, naïve Zoë ß ſ ʃ ª", ("en",), {}),
        ("Приветик, 你好", ("en", "de"), {"Cyrillic": "Приве", "Chinese": "你好"}),
        ("Привет 你好", ("zh",), {"Cyrillic": "Приве"}),
        ("Приве́т", ("ru",), {}),
        ("こんにちはカー世界", ("ja",), {}),
        ("こんカー世", ("en",), {"Hiragana": "こん", "Katakana": "カー", "Chinese": "世"}),
        ("ｶﾅ", ("ja",), {}),
        ("안녕 漢", ("ko",), {}),
        ("안녕", ("zh",), {"Korean": "안녕"}),
        ("مرحبا שלום", ("he",), {"Arabic": "مرحبا"}),
        ("हिन्दी ไทย", ("hi",), {"Thai": "ไทย"}),
        ("2πr, μ, Δx, ℝ, ℵ, µm, Ω", ("en",), {}),
        ("λόγος", ("en",), {"Greek": "λόγος"}),
        ("λόγος", ("el",), {}),
        ("ꦲ", ("en",), {"Javanese": "ꦲ"}),
        ("你好", (), {}),
        ("你好", ("en", "xx"), {}),
        ("你好", ("zh-CN",), {}),
        ("1, ! 🎉 ٣", ("en",), {}),
    ],
)
def test_foreign_letters(text: str, languages: tuple[str, ...], foreign: dict[str, str]) -> None:
    assert foreign_letters(text, languages) == foreign


@pytest.mark.parametrize(
    ("text", "languages", "latin"),
    [
        ("The word 猫 means cat.", ("en",), "The word Mao means cat."),
        ("привет means hello", ("en",), "privet means hello"),
        ("привет means 猫", ("en", "ru"), "привет means Mao"),
        ("I ¯\\_(ツ)_/¯ so", ("en",), "I ¯\\_(Tsu)_/¯ so"),
        ("this is my Tシャツ and λόγος, πr", ("en",), "this is my T Shiyatsu and logos, πr"),
        ("नमस्ते means hello", ("en",), "Nmste means hello"),
        ("привет и 猫", (), "привет и 猫"),
    ],
)
def test_letters_of_other_scripts_are_written_in_latin_ones(
    text: str, languages: tuple[str, ...], latin: str
) -> None:
    assert not is_foreign(text, languages)
    assert to_latin(text, Marks(), languages) == latin


@pytest.mark.parametrize("text", ["猫", "你好，世界", "Привет, Bob", "東京 is big.", "λόγος"])
def test_a_text_mostly_in_another_script_is_foreign(text: str) -> None:
    assert is_foreign(text, ("en",))
    assert not is_foreign(text, ("zh", "ru", "el"))


def test_the_text_of_a_pronunciation_is_written_in_latin_letters() -> None:
    marks = Marks()
    text = "A " + marks.add(Phonemes("猫", "neko"))
    mark = marks.get(to_latin(text, marks, ("en",))[-1])
    assert mark == Phonemes("Mao", "neko")
