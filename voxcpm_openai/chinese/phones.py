"""Telephone numbers, rooms, codes and addresses of machines: digits one by one."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import digits, spelled
from voxcpm_openai.english.rule import RuleGroup, rule

_GAP = re.compile(r"[-() —]+")
_LABEL = r"(?:电话|手机|手机号|热线|号码|传真|座机|拨打|致电|呼叫|短号|分机|尾号|QQ群?|QQ号)"
_CODE = "(?:[单编账帐卡学证工型批货票站]号|序列号|代码|邮编|密码|验证码|端口|身份证号?码?)"
_COUNTED = "[万亿千百多余元块次个人天条台遍部名]"


def _phone(match: re.Match[str]) -> str:
    """Return the groups of a number with a short pause between them."""
    plus = "加" if match[0].startswith("+") else ""
    groups = [group for group in _GAP.split(match[0].lstrip("+")) if group]
    return plus + "，".join(map(spelled, groups))


PHONES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<![\d.])(?:\+ ?86[- ]?)?1[3-9]\d(?:\d{8}|([- ])\d{4}\1\d{4})(?![\d.]\d|\d)",
            _phone,
            ("电话13800138000", "电话幺三八零零幺三八零零零"),
            ("+86 138-0013-8000", "加八六，幺三八，零零幺三，八零零零"),
        ),
        rule(
            r"(?<![\d.])(?:\+ ?86[- ]?)?(?:\(0\d{2,3}\) ?|0\d{2,3}[- ])"
            r"\d{3,4}[- ]?\d{4}(?:-\d{1,5})?(?!\d)",
            _phone,
            ("010-62770000", "零幺零，六二七七零零零零"),
            ("(010)8888-8888", "零幺零，八八八八，八八八八"),
        ),
        rule(
            r"(?<![\d.])[48]00[- ]\d{3,4}[- ]\d{3,4}(?!\d)",
            _phone,
            ("400-820-8820", "四零零，八二零，八八二零"),
        ),
        rule(
            r"\+\d{1,3}(?:[- ]\d{2,4}){2,4}(?!\d)",
            _phone,
            ("+1 415-555-0100", "加幺，四幺五，五五五，零幺零零"),
        ),
        rule(
            rf"({_LABEL}(?:是|为|号码|[：:, ])*)(\d{{3,}}(?:-\d+)*)(?![\d.]|{_COUNTED})",
            lambda m: m[1] + "，".join(map(spelled, m[2].split("-"))),
            ("拨打110", "拨打幺幺零"),
            ("热线：12345", "热线：幺二三四五"),
            ("手机尾号2101", "手机尾号二幺零幺"),
        ),
        rule(
            rf"({_CODE}(?:是|为|[：:, ])*)(\d{{3,}})(?![\d.]|{_COUNTED})",
            lambda m: m[1] + digits(m[2]),
            ("订单号20250928", "订单号二零二五零九二八"),
            ("验证码是4821", "验证码是四八二一"),
        ),
        rule(
            r"(?<=单元)\d{3,4}(?!\d)|(?<![\d.])\d{3,4}(?=(?:号?(?:房间|病房|教室|会议室|包间|房|室)))|(?<=房间)\d{3,4}(?!\d)|(?<=房间号)\d{3,4}(?!\d)",
            lambda m: spelled(m[0]),
            ("1108房间", "幺幺零八房间"),
            ("住在302室", "住在三零二室"),
        ),
        rule(
            r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?(?![\d.])",
            lambda m: (
                "点".join(map(spelled, m[0].partition("/")[0].split(".")))
                + ("斜杠" + digits(m[0].partition("/")[2]) if "/" in m[0] else "")
            ),
            ("192.168.1.1", "幺九二点幺六八点幺点幺"),
        ),
        rule(
            r"(?<![\d.])\d+(?:\.\d+){2,}(?![\d])(?:-(?=[A-Za-z]))?",
            lambda m: "点".join(map(digits, m[0].split("."))),
            ("升级到3.12.1", "升级到三点一二点一"),
        ),
        rule(
            r"(?<![\d.])0\d+(?!\.?\d)|(?<![\d.])\d{17,}(?!\.\d)",
            lambda m: digits(m[0]),
            ("编号007", "编号零零七"),
        ),
        rule(
            r"(?<![\d.A-Za-z-])\d+(?:-\d+){2,}(?![\d.])",
            lambda m: "杠".join(p if len(p) < 3 else spelled(p) for p in m[0].split("-")),
            ("3-2-501", "三杠二杠五零幺"),
        ),
        rule(
            r"(?<![\d.])(\d{1,2})·(\d{1,2})(?!\d)"
            r"|(?<![\d.])(\d{1,2})\.(\d{1,2})(?=[\"”]?(?:事变|事件|晚会|惨案|大促|运动|地震))",
            lambda m: digits(m[0]),
            ("9·11事件", "九一一事件"),
            ("9.18事变", "九一八事变"),
        ),
        rule(
            r"(?<![\d.])\d{3,6}(?=(?:服务|政务|报警|急救)?(?:热线|报警|急救|电话))",
            lambda m: spelled(m[0]),
            ("打12345热线", "打幺二三四五热线"),
        ),
        rule(r"(?<=波音|空客)\d{3}(?!\d)", lambda m: digits(m[0]), ("波音737", "波音七三七")),
    ),
)
"""Numbers that are no quantities."""
