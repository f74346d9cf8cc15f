"""Which text can be spoken, and which letters are foreign to a voice's languages."""

import pytest

from voxcpm_openai.text import foreign_letters, speakable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            (yes, True)
            for yes in ("a", "1", "你", "é", "²", "½", ".", "...", "!?", "。", " … ", "%", "&")
        ],
        *[(yes, True) for yes in ("@", "+", "=", "--a--", "٣", "$")],
        *[(no, False) for no in ("", " ", "🎉", "\u200b", "---", "***", "()", '"', "\u0301", "—.")],
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
