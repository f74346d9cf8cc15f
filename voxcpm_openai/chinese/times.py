"""Times of the day, durations, scores and ratios."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import amount, cardinal
from voxcpm_openai.english.rule import RuleGroup, rule, text_after, text_before

_TIME = r"(?<![\d:.])(\d\d?):([0-5]\d)(?::([0-5]\d))?(?![\d:]|\.\d)"
_TO = r" ?(?:-+|~+|—+|至|到) ?"
_WIN = (
    "战胜|击败|获胜|取胜|大胜|险胜|小胜|完胜|力克|不敌|战平|逼平|落败|落后|领先|逆转|负于|输给|横扫"
)
_SCORE_BEFORE = re.compile(rf"(?:比分|比例|比率|比值|以|{_WIN})[是为达到成 ：:]{{0,3}}$")
_SCORE_AFTER = re.compile(rf" ?(?:的(?:比分|比例|优势)|{_WIN})")


def _part(text: str, unit: str) -> str:
    """Return minutes or seconds; none at a full hour."""
    if text == "00":
        return ""
    return f"零{cardinal(text[1])}{unit}" if text[0] == "0" else f"{cardinal(text)}{unit}"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match[1]), match[2], match[3]
    if hour > 24 or _is_score(match):
        return match[0]
    minutes = _part(minute, "分") or ("零分" if (second or "00") != "00" else "")
    return f"{amount(str(hour))}点{minutes}{_part(second or '00', '秒')}"


def _is_score(match: re.Match[str]) -> bool:
    before, after = text_before(match), text_after(match)
    return bool(_SCORE_BEFORE.search(before) or _SCORE_AFTER.match(after))


def _half_day(match: re.Match[str]) -> str:
    """Return the part of the day before the time, where Chinese has it."""
    hour = int(match[1]) % 12
    if match[3].lower() == "a":
        return f"上午{match[1]}{match[2] or ':00'}"
    return f"{'晚上' if hour in range(6, 12) else '下午'}{match[1]}{match[2] or ':00'}"


def _clock(match: re.Match[str]) -> str:
    return f"{amount(str(int(match[1])))}点{_part(match[2], '') or '整'}"


TIMES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<![\d:])(\d\d?(?::[0-5]\d| ?[aApP][mM]))"
            + _TO
            + r"(?=\d\d?(?::[0-5]\d| ?[aApP][mM])(?!\d))",
            r"\1到",
            ("9:00-18:00", "九点到十八点"),
            ("9am-5pm", "上午九点到下午五点"),
        ),
        rule(
            r"(?<![\d:.])(1[0-2]|0?\d)(:[0-5]\d)? ?([aApP])\.?[mM]\.?(?![A-Za-z])",
            _half_day,
            ("2:30 pm开会", "下午两点三十分开会"),
            ("9am", "上午九点"),
        ),
        rule(
            _TIME,
            _time,
            ("14:30", "十四点三十分"),
            ("9:05", "九点零五分"),
            ("02:15:30", "两点十五分三十秒"),
            ("比分是21:15", "比分是二十一比十五"),
        ),
        rule(
            r"(?<![\d.])([01]?\d|2[0-4])点(0\d|[1-5]\d)(?!\d|[.%]\d|[个只次万亿元])",
            _clock,
            ("2点05分", "两点零五分"),
        ),
        rule(
            r"(?<!\d)(\d{1,4})['′](\d\d?)(?:\"|″|'')", r"\1分\2秒", ("用时5'30\"", "用时五分三十秒")
        ),
        rule(
            r"(?<=\d) ?[:∶] ?(?=\d)",
            "比",
            ("3:2获胜", "三比二获胜"),
            ("1:100的地图", "一比一百的地图"),
            ("16:9", "十六比九"),
        ),
        rule(
            rf"(?<![\d.-])(\d{{1,3}})-(\d{{1,3}})(?= ?(?:{_WIN}))"
            r"|(?<=比分)([是为 ]?\d{1,3})-(\d{1,3})(?![\d-])",
            lambda m: f"{m[1] or m[3]}比{m[2] or m[4]}",
            ("2-1战胜对手", "二比一战胜对手"),
        ),
    ),
)
"""Times; what has a colon and is none is a ratio."""
