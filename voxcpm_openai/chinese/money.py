"""Money and percentages."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import NUMBER, amount, number, short
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule

_SIGNS = {
    "¥": "元",
    "$": "美元",
    "US$": "美元",
    "HK$": "港元",
    "NT$": "新台币",
    "€": "欧元",
    "£": "英镑",
    "₩": "韩元",
    "₹": "卢比",
    "₽": "卢布",
    "₿": "比特币",
}
_CODES = {
    "RMB": "元",
    "CNY": "元",
    "USD": "美元",
    "HKD": "港元",
    "EUR": "欧元",
    "GBP": "英镑",
    "JPY": "日元",
    "KRW": "韩元",
    "TWD": "新台币",
    "AUD": "澳元",
    "CAD": "加元",
}
_NAMES = _SIGNS | _CODES
_SCALE = r"(?:[十百千]?[万亿]{1,2}|[百千])"
_SCALES = {
    "k": "千",
    "K": "千",
    "M": "百万",
    "B": "十亿",
    "bn": "十亿",
    "thousand": "千",
    "million": "百万",
    "billion": "十亿",
}
_TO = r" ?(?:-+|~+|—+|至|到) ?"
_BEFORE = rf"(?<![A-Za-z])({alternatives(_NAMES)}) ?"
_AFTER = rf"({alternatives(_NAMES)})(?![A-Za-z])"
_WRITTEN_OUT = r"(?: ?(?:美元|港元|欧元|日元|英镑|元))?"


def _sum(value: str, scale: str, name: str) -> str:
    return amount(short(value)) + _SCALES.get(scale, scale) + name


def _range(match: re.Match[str]) -> str:
    """Return a range of prices: "¥5-8" is "五到八元"."""
    return f"{amount(short(match[2]))}到{_sum(match[3], match[4] or '', _NAMES[match[1]])}"


def _signed(match: re.Match[str]) -> str:
    sign = {"-": "负", "+": "正"}.get(match[1] or "", "")
    return sign + _sum(match[3], match[4] or "", _NAMES[match[2]])


def _percent(text: str, sign: str) -> str:
    """Return a share: "3.5%" is "百分之三点五", "100%" is "百分之百"."""
    minus = "负" if text.startswith("-") else "正" if text.startswith("+") else ""
    words = number(text.lstrip("+-"))
    if sign == "‰":
        return f"{minus}千分之{words}"
    return f"{minus}百分之{'百' if words == '一百' else words}"


MONEY = RuleGroup(
    re.compile(rf"[{''.join(c for c in _SIGNS if len(c) == 1)}]|[A-Z]{{3}}|\d"),
    (
        rule(
            rf"{_BEFORE}({NUMBER}){_TO}(?:\1)? ?({NUMBER}) ?({_SCALE})?{_WRITTEN_OUT}",
            _range,
            ("¥5-8", "五到八元"),
            ("$10~$20", "十到二十美元"),
        ),
        rule(
            rf"(?:(?<![\w)])([-+]))?{_BEFORE}({NUMBER})"
            rf" ?({_SCALE}|(?:k|K|M|B|bn|thousand|million|billion)(?![A-Za-z]))?{_WRITTEN_OUT}",
            _signed,
            ("¥5", "五元"),
            ("$3.50", "三点五美元"),
            ("¥3.5万", "三点五万元"),
            ("-€200", "负两百欧元"),
            ("RMB 100", "一百元"),
            ("$2M", "两百万美元"),
        ),
        rule(
            rf"({NUMBER}) ?({_SCALE})? ?{_AFTER}",
            lambda m: _sum(m[1], m[2] or "", _NAMES[m[3]]),
            ("100 USD", "一百美元"),
        ),
        rule(
            rf"({NUMBER})(?:{_TO}({NUMBER}))?(?=[百千万亿]?[万亿]?(?:元|块|美元|欧元|日元|港元|英镑))",
            lambda m: "到".join(amount(short(part)) for part in m.groups() if part),
            ("1228.61元", "一千二百二十八点六一元"),
            ("3.5万元", "三点五万元"),
            ("99.00元", "九十九元"),
            ("5000-8000元", "五千到八千元"),
        ),
        rule(
            r"(?<=元|块|角) ?/ ?(?=[\u4e00-\u9fff])",
            "每",
            ("50元/人", "五十元每人"),
        ),
    ),
)
"""Money: the name of the currency follows the sum."""

PERCENT = RuleGroup(
    re.compile("[%‰]"),
    (
        rule(
            rf"(?<![\d.])([-+]?{NUMBER}){_TO}([-+]?{NUMBER}) ?%",
            lambda m: f"{_percent(m[1], '%')}到{number(m[2])}",
            ("增长10-20%", "增长百分之十到二十"),
        ),
        rule(r"(?<=[%‰])" + _TO + r"(?=[-+]?\d)", "到", ("10%~20%", "百分之十到百分之二十")),
        rule(
            rf"((?:(?<![\w%])[-+]|(?<=[\u4e00-\u9fff])[-+])?{NUMBER}) ?([%‰])",
            lambda m: _percent(m[1], m[2]),
            ("3.5%", "百分之三点五"),
            ("-3.5%", "负百分之三点五"),
            ("100%", "百分之百"),
            ("2‰", "千分之二"),
        ),
    ),
)
"""Shares of a hundred or a thousand."""
