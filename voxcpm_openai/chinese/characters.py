"""What comes first: one form for characters that have several, and no space around numbers."""

from __future__ import annotations

import re
import unicodedata

from voxcpm_openai.chinese.numbers import HAN
from voxcpm_openai.english.rule import RuleGroup, rule

_ONE_FORM = {
    # Full-width letters, digits and signs; the marks of pauses keep their width.
    **{
        chr(code): chr(code - 0xFEE0)
        for code in range(0xFF01, 0xFF5F)
        if chr(code) not in "，！：；？"
    },
    **dict.fromkeys("\u00a0\u3000\u2009\u202f\t\n\r", " "),
    **dict.fromkeys("−﹣‐‑‒–", "-"),
    **dict.fromkeys("〜∼˜", "~"),
    **dict.fromkeys("￥", "¥"),
    **dict.fromkeys("〇", "零"),
    **dict.fromkeys("✕✖", "×"),
    **dict.fromkeys("‘’ʼ", "'"),
    "∕": "/",
    "⁄": "/",
    "º": "°",
    "℃": "°C",
    "℉": "°F",
    "﹪": "%",
    "㎏": "kg",
    "㎎": "mg",
    "㎜": "mm",
    "㎝": "cm",
    "㎞": "km",
    "㎡": "m²",
    "㎥": "m³",
    "ℓ": "L",
    "㏄": "mL",
    "μ": "µ",
}
_FRACTION = re.compile(r"(\d?)([¼½¾⅐-⅞])")
_TABLE = str.maketrans(_ONE_FORM)


def folded(text: str) -> str:
    """Return a text in one form of digits, letters, signs and spaces."""
    text = _FRACTION.sub(_parts, text).translate(_TABLE)
    if text.isascii():
        return text
    return "".join(
        _digit(char) if char.isdecimal() and not char.isascii() else char for char in text
    )


def _parts(match: re.Match[str]) -> str:
    """Return a sign for a fraction as its two numbers."""
    parts = unicodedata.normalize("NFKC", match[2])
    return f"{match[1]} {parts}" if match[1] else parts


def _digit(char: str) -> str:
    return str(unicodedata.decimal(char))


CHARACTERS = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?:^ *| )(?:\((\d{1,2})\)|(\d{1,2})[.、)]) ?(?=[^\W\d])",
            lambda m: f"，{m[1] or m[2]}，",
            ("1. 打开门 2. 进去", "一，打开门，二，进去"),
        ),
        rule(
            rf"(?<={HAN}) +(?=[-+]?\d)|(?<=\d) +(?={HAN})",
            "",
            ("共 3 天", "共三天"),
            ("２０２５ 年 ９ 月", "二零二五年九月"),
        ),
        rule(r"\((\d{1,2})\)(?=班)", r"\1", ("高三(5)班", "高三五班")),
        rule(r"(?<=\d)：(?=\d)", ":", ("14：30开会", "十四点三十分开会")),
        rule(
            r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?!\d|,\d)",
            lambda m: m[1].replace(",", ""),
            ("1,234,567人", "一百二十三万四千五百六十七人"),
        ),
        rule(r"(?<![\w.])\.(?=\d)", "0.", (".5毫米", "零点五毫米")),
    ),
)
"""Spaces beside numbers, grouped digits, numbers of a list."""
