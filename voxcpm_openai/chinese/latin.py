"""Addresses of the Internet, and Latin words that hold numbers or signs."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import NUMBER, digits, number, spelled
from voxcpm_openai.english.rule import RuleGroup, rule

_DOMAINS = "com|cn|org|net|edu|gov|io|ai|dev|app|tv|cc|me|co|info|top|xyz|hk|tw|jp|uk|us|de|fr"
_SIGNS = {
    ".": "点", "@": "艾特", "_": "下划线", "-": "杠", "/": "斜杠", ":": "冒号", "?": "问号",
    "=": "等于", "&": "和", "#": "井号", "%": "百分号", "+": "加", "~": "波浪号",
}  # fmt: skip
_COUNTED = "[万亿千百多余元块个人次天年月日号条张名位件家台部度岁页分秒点米]"


def _address(match: re.Match[str]) -> str:
    """Return an address sign by sign, without what opens it and with the mark after it."""
    text = re.sub(r"^[A-Za-z]+://", "", match[0])
    address = text.rstrip(".,;:!?/")
    rest = text[len(address) :].replace("/", "")
    return "".join(map(_sign, address)) + rest


def _sign(char: str) -> str:
    if char.isdecimal():
        return digits(char)
    return char if char.isalpha() else _SIGNS.get(char, " ")


ADDRESSES = RuleGroup(
    re.compile(r"[@.]|://"),
    (
        rule(
            r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            _address,
            ("zhang_3@163.com", "zhang下划线三艾特一六三点com"),
        ),
        rule(
            r"(?:https?://|www\.)[!-~]+",
            _address,
            ("https://www.example.com/a1", "www点example点com斜杠a一"),
        ),
        rule(
            rf"(?<![A-Za-z0-9@.-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:{_DOMAINS})(?![A-Za-z0-9])(?:/[!-~]*)?",
            _address,
            ("打开12306.cn", "打开一二三零六点cn"),
        ),
    ),
)
"""Electronic mail and the web."""

LATIN = RuleGroup(
    re.compile(r"[A-Za-zα-ωΑ-Ω]"),
    (
        rule(r"(?<![\w.])\.(?=[A-Za-z])", "点", (".NET", "点NET")),
        rule(
            r"(?<![A-Za-z.])(?:[A-Za-z]\.){2,}",
            lambda m: m[0].replace(".", ""),
            ("U.S.经济", "US经济"),
        ),
        rule(
            r"(?<![A-Za-z])(Mr|Mrs|Ms|Dr|Prof|St|Jr|vs|No)\.(?=[ A-Za-z])",
            r"\1",
            ("Dr. Smith说", "Dr Smith说"),
        ),
        rule(
            r"(?<![A-Za-z])([GDCZTKYL])(\d{1,4})(?=次)",
            lambda m: m[1] + spelled(m[2]),
            ("G1021次列车", "G幺零二幺次列车"),
        ),
        rule(
            r"(?<=[A-Za-z])[-_ ·]?(\d{3,})(?!\d|\.\d|[A-Za-z]{3}| ?[KMGTkP][Bb])"
            + f"(?!{_COUNTED})",
            lambda m: digits(m[1]),
            ("京A·12345", "京A一二三四五"),
            ("RTX 4090显卡", "RTX四零九零显卡"),
        ),
        rule(
            r"(?<=[A-Za-zα-ωΑ-Ω])[-–]?(?<!\d)(\d+(?:\.\d+)?)(?!\.?\d)",
            lambda m: number(m[1]) if m[1][0] != "0" or "." in m[1] else digits(m[1]),
            ("GPT-4", "GPT四"),
            ("T2航站楼", "T二航站楼"),
            ("v2.0", "v二点零"),
            ("H2O", "H二O"),
            ("GPT-4o", "GPT四o"),
        ),
        rule(
            rf"({NUMBER})-(?=[A-Za-z])",
            lambda m: number(m[1]),
            ("3-D", "三D"),
        ),
        rule(r"(?<![A-Za-z])([A-Za-z])\+\+", r"\1加加", ("C++", "C加加")),
        rule(r"(?<![A-Za-z])([CF])#", r"\1 sharp", ("用C#写", "用C sharp写")),
        rule(r"(?<=[kKMGT][Bb])/s(?![A-Za-z])", "每秒", ("500MB/s", "五百MB每秒")),
        rule(
            r"(?<=[A-Za-z])/(?=[A-Za-z])",
            " ",
            ("TCP/IP协议", "TCP IP协议"),
        ),
    ),
)
"""Names of Latin letters and digits."""
