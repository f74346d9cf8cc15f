"""Arithmetic, ranges, fractions, what is counted, ordinals; and the numbers that are left."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import HAN, NUMBER, amount, cardinal, digits, fraction, number
from voxcpm_openai.english.rule import RuleGroup, rule, text_before

_TO = r" ?(-|~|—|至|到) ?"
_COUNTED = (
    "个|只|条|张|本|辆|位|名|件|家|次(?!元)|天|年(?!级)|周|小时|分|秒|点|元|块|角|毛|米|公里|千米|厘米"
    "|毫米|英里|英寸|英尺|海里|公斤|千克|毫克|克|斤|磅|吨|升|毫升|倍|岁|人|把|种|类|项|门|组|队|片|篇|句"
    "|段|场|部|台|架|艘|座|间|扇|套|双|对|份|笔|瓶|杯|碗|袋|盒|箱|包|亩|公顷|顿|遍|趟|口|成|晚|夜|头|匹|根"
    "|支|枝|朵|棵|颗|粒|滴|步|国|地|侧|幅|层楼|室|厅|卫|封|枚|群|盏|盘|罐|桶|束|串|堆|排|行|处|所|户|批|节"
    "|集|则|首|页|股|局|轮|平方|立方|摄氏度|度|字|大|多|余|万|亿|千|百|美元|欧元|日元"
)
"""Before these a person says 两 for 2, and 两千 for 2000; not before 月, 号, 楼, 级."""

_NOT_COUNTED = re.compile(r"(?:第|周|星期|礼拜|[A-Za-z]|之) ?[\d.]*$")
_NAMED = (
    "歼|轰|运|直|图|表|苏|米|神舟|长征|嫦娥|天宫|天问|北斗|东风|红旗|鹰击|快舟|式|型|式样|附录|习题"
)
"""After these a hyphen joins a number to a name: 歼-20."""


def _counted(match: re.Match[str]) -> str:
    if _NOT_COUNTED.search(text_before(match)):
        return number(match[1])
    return amount(match[1])


def _range(match: re.Match[str]) -> str:
    """Return a range that rises; other pairs of numbers are names of places and parts."""
    first, sign, second = match[1], match[2], match[3]
    counted = match[4] is not None and not _NOT_COUNTED.search(text_before(match))
    words = amount if counted else number
    if sign not in "-~—":
        return words(first) + sign + words(second)
    if sign == "~" or float(first) <= float(second):
        return f"{words(first)}到{words(second)}"
    return f"{number(first)}杠{number(second)}"


def _fraction(match: re.Match[str]) -> str:
    if not int(match[2]):
        return match[0]
    return fraction(match[1], match[2])


def _left(match: re.Match[str]) -> str:
    """Return a number of which nothing is known."""
    words = number(match[0])
    return "两" + words[1:] if words[:2] in ("二千", "二万", "二亿") else words


SIGNED = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            rf"(\d{HAN}{{1,3}}) ?[-~] ?(?=\d[\d.]*{HAN})",
            r"\1到",
            ("1万-2万元", "一万到两万元"),
            ("3天~5天", "三天到五天"),
        ),
        rule(r"(?<![\w%°)])~ ?(?=\d)|(?<=[\u4e00-\u9fff])~ ?(?=\d)", "约", ("~5万", "约五万")),
        rule(
            rf"({_NAMED})-(?=\d)",
            r"\1",
            ("歼-20", "歼二十"),
        ),
        rule(
            r"(?:(?<![\w%°)\]])|(?<=[\u4e00-\u9fff]))([-+])(?=\d)",
            lambda m: "负" if m[1] == "-" else "正",
            ("-7", "负七"),
            ("利润-3万", "利润负三万"),
        ),
        rule(rf"(?<=\d)#(?={HAN})", "号", ("5#楼", "五号楼")),
        rule(r"(?:#|№|N[oO]\.) ?(\d+)", r"\1号", ("#3", "三号"), ("No.1", "一号")),
    ),
)
"""Signs before numbers; runs before money and units."""

ARITHMETIC = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<=\d) ?- ?(?=\d[\d.]{0,20}(?: ?[-+×xX*/÷] ?\d[\d.]{0,20}){0,8} ?[=≈≠])",
            "减",
            ("5-3=2", "五减三等于二"),
        ),
        rule(
            r"(?<=\d) ?/ ?(?=\d[\d.]{0,20}(?: ?[-+×xX*/÷] ?\d[\d.]{0,20}){0,8} ?[=≈≠])",
            "除以",
            ("6/2=3", "六除以二等于三"),
        ),
        rule(
            r"(?<=\d) ?[xX*×] ?(?=\d)",
            "乘",
            ("3×4=12", "三乘四等于十二"),
            ("1920x1080", "一千九百二十乘一千零八十"),
        ),
        rule(
            r"(?<=\d)[eE]([-+]?\d{1,3})(?![\dA-Za-z])",
            lambda m: f"乘十的{number(m[1].lstrip('+'))}次方",
            ("1e-5", "一乘十的负五次方"),
        ),
        rule(
            r"(?<=[\dA-Za-z)])\^\(?(-?\d{1,4})\)?",
            lambda m: f"的{number(m[1])}次方",
            ("2^10", "二的十次方"),
        ),
        rule(rf"({NUMBER})[xX](?![A-Za-z])", lambda m: f"{amount(m[1])}倍", ("快了2x", "快了两倍")),
    ),
)
"""What a formula has between its numbers."""

QUANTITIES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<![\d.])(\d+) (\d+)/(\d+)(?![\d./])",
            lambda m: f"{cardinal(m[1])}又{fraction(m[2], m[3])}" if int(m[3]) else m[0],
            ("1 1/2杯", "一又二分之一杯"),
            ("2½杯", "二又二分之一杯"),
        ),
        rule(
            r"(?<![\d./])(\d{1,4})/(\d{1,4})(?![\d/]|\.\d)",
            _fraction,
            ("1/2", "二分之一"),
            ("3/4的人", "四分之三的人"),
        ),
        rule(
            rf"({NUMBER}){_TO}({NUMBER})(?=({_COUNTED})?)",
            _range,
            ("3-5天", "三到五天"),
            ("2~3个", "两到三个"),
            ("第3-5章", "第三到五章"),
            ("12-3", "十二杠三"),
        ),
        rule(
            rf"({NUMBER})(?={_COUNTED})",
            _counted,
            ("2个", "两个"),
            ("2点", "两点"),
            ("2个月", "两个月"),
            ("第2次", "第二次"),
            ("12个", "十二个"),
            ("2000多人", "两千多人"),
            ("2亿", "两亿"),
            ("2年级", "二年级"),
        ),
        rule(
            r"(?<=[第])\d+",
            lambda m: cardinal(m[0]),
            ("第3章", "第三章"),
            ("第2", "第二"),
        ),
    ),
)
"""Numbers that count, and their parts."""

NUMERALS = RuleGroup(
    re.compile(r"\d"),
    (
        rule(NUMBER, _left, ("共110", "共一百一十"), ("大约2000", "大约两千")),
        rule(r"\d+", lambda m: digits(m[0]), ("1.2.", "一点二。")),
    ),
)
"""Runs last: every digit becomes a character."""
