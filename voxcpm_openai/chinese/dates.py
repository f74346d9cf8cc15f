"""Dates, years and months."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import cardinal, digits
from voxcpm_openai.english.rule import RuleGroup, rule

_YEAR = r"(?<![\d.])((?:1\d|20|21)\d\d)"
_TO = r" ?(?:-+|~+|—+|至|到) ?"
_AFTER_YEAR = "年|届|级|款|版|赛季|财年|春|夏|秋|冬|奥运|世界杯|世博|高考|亚运|欧洲杯"


def _date(match: re.Match[str]) -> str:
    """Return a date, or the match where a number is not that of a month or day."""
    year, month, day = match[1], int(match[3]), int(match[4])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{digits(year)}年{cardinal(str(month))}月{cardinal(str(day))}日"


def _month(match: re.Match[str]) -> str:
    return f"{digits(match[1])}年{cardinal(str(int(match[2])))}月"


def _numbered(match: re.Match[str]) -> str:
    """Return the month or day without the zero before it."""
    return cardinal(str(int(match[1])))


def _years(match: re.Match[str]) -> str:
    if int(match[1]) >= int(match[2]):
        return match[0]
    return f"{digits(match[1])}到{digits(match[2])}"


DATES = RuleGroup(
    re.compile(r"\d|[周期拜]."),
    (
        rule(
            _YEAR
            + r"([-/.])(\d\d?)\2(\d\d?)(?![\d]|\.\d|\2\d)[日号]?"
            + r"(?:[T ]+(?=[\d零一二三四五六七八九十两]))?",
            _date,
            ("2025-09-28", "二零二五年九月二十八日"),
            ("2025/9/28出发", "二零二五年九月二十八日出发"),
            ("2025.09.28", "二零二五年九月二十八日"),
            ("2025-09-28 14:30", "二零二五年九月二十八日十四点三十分"),
        ),
        rule(
            r"(?<![\d.])((?:19|20)\d\d)[-/.](0[1-9]|1[0-2])月?(?![\d]|[-/.]\d)(?!年)",
            _month,
            ("2025-09", "二零二五年九月"),
        ),
        rule(
            r"(?<![\d.])(\d{4})年?" + _TO + r"(\d{4})(?=年)",
            _years,
            ("2010-2015年", "二零一零到二零一五年"),
            ("1998年至2005年", "一九九八到二零零五年"),
        ),
        rule(
            r"(?<![\d.])((?:1[5-9]|20)\d\d)" + _TO + r"((?:1[5-9]|20)\d\d)(?![\d.%]|[A-Za-z°元])",
            _years,
            ("鲁迅(1881-1936)", "鲁迅，一八八一到一九三六"),
        ),
        rule(
            r"(?<![\d.])(\d{4}|0\d)(?=(?:年(?!前|来)|年前后)|学年)",
            lambda m: digits(m[1]),
            ("2025年", "二零二五年"),
            ("08年的事", "零八年的事"),
            ("2000年前后", "二零零零年前后"),
            ("5000年前", "五千年前"),
        ),
        rule(
            r"(?<![\d.])(\d\d)(?=年\d{1,2}月)|(?<=公元|元前)(\d{3})(?=年)",
            lambda m: digits(m[0]),
            ("25年3月", "二五年三月"),
            ("公元前221年", "公元前二二一年"),
        ),
        rule(
            rf"(?<![\d.])((?:19|20)\d\d)(?=(?:{_AFTER_YEAR}))",
            lambda m: digits(m[1]),
            ("2008奥运会", "二零零八奥运会"),
            ("2022级学生", "二零二二级学生"),
        ),
        rule(
            r"(?<![\d.])([0-9][05])(?=后(?!的?[天年])(?!\d))",
            lambda m: digits(m[1]),
            ("90后和00后", "九零后和零零后"),
        ),
        rule(r"(?<![\d.])0(\d)(?=[月日])", _numbered, ("09月08日", "九月八日")),
        rule(
            r"(\d\d?|[月日号])" + _TO + r"(?=(\d\d?)(?:月(?!饼)|日|号))",
            lambda m: m[0] if m[1].isdigit() and int(m[1]) >= int(m[2]) else f"{m[1]}到",
            ("9月28日-10月3日", "九月二十八日到十月三日"),
            ("9月28-30日", "九月二十八到三十日"),
        ),
        rule(
            r"(?<![\d.])(\d\d?)(?=月(?!饼)|日(?!元)|号)",
            _numbered,
            ("2月2日", "二月二日"),
            ("2号", "二号"),
        ),
        rule(
            r"(?:周|星期|礼拜)[一二三四五六日天1-7]( ?[-~] ?)"
            r"(?=(?:周|星期|礼拜)?[一二三四五六日天1-7])",
            lambda m: m[0].replace(m[1], "到"),
            ("周一-周五", "周一到周五"),
        ),
    ),
)
"""Dates in digits, years digit by digit, months and days."""
