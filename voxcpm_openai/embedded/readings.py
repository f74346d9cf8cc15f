"""How single Chinese characters are read in their context, where a dictionary of words is silent.

Each row: a pattern whose first group is the character, its pinyin, and texts with that reading.
They apply to characters alone and in ``JOINED`` words; other words have readings of their own.
"""

from __future__ import annotations

import re

_NUMERAL = "[一二两三四五六七八九十百千万亿几]"

JOINED = re.compile(
    f"[^获取赢夺博值难心所各自]得[^到出知以失].*|..+地|.+不了|{_NUMERAL}只"
    f"|[很太更最多不]长|长{_NUMERAL}.*|教[我你他她]|[我你他她]教|"
    "调[高低到大小成至]"
)
"""Words that are several, which a dictionary of readings may not have."""

COUNTED_LINES = re.compile(f"{_NUMERAL}行")
"""Lines of a text: the dictionary has another word of the same characters."""

Row = tuple[re.Pattern[str], str, tuple[str, ...]]


def _row(pattern: str, pinyin: str, *texts: str) -> Row:
    return re.compile(pattern), pinyin, texts


READINGS: tuple[Row, ...] = (
    _row("(得)", "de5", "他跑得快", "做得很好"),
    _row("(?:我|你|他|她|们|也|还|就|都|总|又|必须|可能)(得)(?!到|出|知|了)", "dei3", "我得走了"),
    _row("(?<=[\u4e00-\u9fff][\u4e00-\u9fff])(地)(?=[\u4e00-\u9fff])", "de5", "他慢慢地走"),
    _row("(?:[大此两各本当实和与的])(地)", "di4", "天和地之间"),
    _row("(长)", "chang2", "路很长", "长三米"),
    _row("(长)(?=[得了出成满着在高胖])", "zhang3", "孩子长高了"),
    _row(f"(?:{_NUMERAL}|[这那每各])(只)(?![有是能会要])", "zhi1", "两只猫"),
    _row(f"{_NUMERAL}(行)(?![人到来抵前参访赴])", "hang2", "三行字", "一行代码"),
    _row("(教)(?=[我你他她们人书会过])", "jiao1", "他教我"),
    _row("(还)(?=[给清债书钱款贷]|我钱|了(?!解))", "huan2", "把书还给他", "我去还书"),
    _row("不(了)", "liao3", "吃不了"),
    _row("(调)(?=[高低到大小成至])", "tiao2", "把声音调低"),
    _row(f"(为)(?={_NUMERAL}|零|负|百分)", "wei2", "速度为六十千米"),
)
