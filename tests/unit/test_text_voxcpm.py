"""The text that reaches an engine that reads written forms itself, such as VoxCPM."""

import pytest

from voxcpm_openai.text import clean
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.text.plan import plan

# language, input, text; None: unchanged.
ROWS = [
    ("en", "It costs $3.50, or 5 €.", None),
    ("en", "The rate is 10⁻⁶ per second.", None),
    ("en", "A speed of 5 m·s⁻¹, 20 m² and x⁴.", None),
    ("en", "He was ill.¹⁴ The end.", "He was ill. The end."),
    ("en", "C♯ and B♭ major.", None),
    ("en", "Call 1-800-555-0199 by 9:30 p.m.", None),
    ("en", "==Very== **important** news.[3]", "Very important news."),
    ("en", "First line.\\nSecond line.", "First line. Second line."),
    ("en", "I don`t know.", "I don't know."),
    ("en", "Dr. Smith met King Louis XIV.", None),
    ("en", "See https://www.example.com/a?b=c now.", "See example.com now."),
    ("en", "Mail me@example.com about main.py.", None),
    ("en", "$ or €? 100% of R&D.", None),
    ("de", "Das kostet 3,50 € oder 1.000,50 €.", None),
    ("de", "Am 3. Oktober um 14:30 Uhr.", None),
    ("de", "z. B. 5 km/h, d. h. ca. 20 °C.", None),
    ("de", "„Guten Tag“, sagte er.", None),
    ("de", "Die Fläche beträgt 20 m².", None),
    ("de", "Fis ist F♯, b ist B♭.", None),
    ("de", "**Wichtig:** Größe 42½.", "Wichtig: Größe 42½."),
    ("de", "- 5 Äpfel\n- 3 Birnen", "5 Äpfel 3 Birnen"),
    ("de", "Das Haus¹ ist alt.²", "Das Haus ist alt."),
    ("de", "Er kam - wie immer - spät.", "Er kam — wie immer — spät."),
    ("fr", "Ça coûte 3,50 € ou 20 $.", None),
    ("fr", "Le 14 juillet 1789, à 9 h 30.", None),
    ("fr", "« Bonjour », dit-il.", None),
    ("fr", "Il fait -5 °C, n° 7.", None),
    ("fr", "M. Dupont et Mme Martin.", None),
    ("fr", "Louis XIV et le XIXᵉ siècle.", None),
    ("fr", "**Attention** : 10 000 personnes.", "Attention : 10 000 personnes."),
    ("fr", "L'eau bout à 100 °C.", None),
    ("fr", "Voir le site https://exemple.fr/page.", "Voir le site exemple.fr."),
    ("fr", "2ⁿ et 10⁶ m/s.", None),
    ("es", "Cuesta 3,50 € o 5 $.", None),
    ("es", "¿Qué hora es? ¡Las 9:30!", None),
    ("es", "El Sr. López nació el 5/6/1980.", None),
    ("es", "La 1.ª y el 2.º lugar.", None),
    ("es", "Felipe VI y el siglo XXI.", None),
    ("es", "*Muy* importante: 5 % más.", "Muy importante: 5 % más."),
    ("es", "Temperatura: -3,5 °C.", None),
    ("es", "Dijo —con calma— que no.", None),
    ("es", "Son 12 500 km² de selva.", None),
    ("es", "Nota³ al pie.", "Nota al pie."),
    ("zh", "价格是3.50元，约20%。", None),
    ("zh", "今天是2026年11月26日，星期四。", None),
    ("zh", "（真的）吗？“是的！”", None),
    ("zh", "这是**重点**内容。", "这是重点内容。"),
    ("zh", "温度为-5℃，面积20m²。", "温度为-5°C，面积20m²。"),
    ("zh", "请看[这里](https://x.com)。", "请看这里。"),
    ("zh", "用C#和Python 3.12写代码。", None),
    ("zh", "很好😀！", "很好！"),
    ("zh", "第1章：开始", None),
    ("zh", "电话：010-62770000", None),
    ("ja", "今日は11月26日（木）です。", None),
    ("ja", "価格は3,500円、約20％です。", "価格は3,500円、約20%です。"),
    ("ja", "「はい」と言った。", None),
    ("ja", "<ruby>漢字<rt>かんじ</rt></ruby>です。", "漢字です。"),
    ("ja", "これは**重要**です！", "これは重要です！"),
    ("ja", "気温は−5℃。", "気温は-5°C。"),
    ("ja", "F♯とB♭の音。", None),
    ("ja", "第１章 はじめに", "第1章 はじめに"),
    ("ja", "東京〜大阪、約500km。", None),
]


@pytest.mark.parametrize(("language", "text", "expected"), ROWS)
def test_nothing_english_is_put_in(language: str, text: str, expected: str | None) -> None:
    marks = Marks()
    said = plan(
        clean(text, marks),
        marks,
        language=language,
        fixed=True,
        normalizers=None,
        phonemes=False,
    )
    between = "" if language in ("zh", "ja") else " "
    assert between.join(segment.text for segment in said.segments) == (expected or text)
