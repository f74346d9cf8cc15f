"""Units of measure and temperatures."""

from __future__ import annotations

import re

from voxcpm_openai.chinese.numbers import NUMBER, amount, number
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_before

UNITS_BY_SIGN = {
    "kg": "千克", "g": "克", "mg": "毫克", "µg": "微克", "t": "吨", "lb": "磅", "lbs": "磅",
    "oz": "盎司", "km": "千米", "m": "米", "dm": "分米", "cm": "厘米", "mm": "毫米", "µm": "微米",
    "um": "微米", "nm": "纳米", "ft": "英尺", "in": "英寸", "mi": "英里", "mph": "英里每小时",
    "km²": "平方千米", "m²": "平方米", "cm²": "平方厘米", "mm²": "平方毫米", "m³": "立方米",
    "km2": "平方千米", "m2": "平方米", "cm2": "平方厘米", "mm2": "平方毫米", "m3": "立方米",
    "cm³": "立方厘米", "cm3": "立方厘米", "mm³": "立方毫米", "dm³": "立方分米", "ha": "公顷",
    "L": "升", "l": "升", "mL": "毫升", "ml": "毫升", "µL": "微升", "dL": "分升",
    "h": "小时", "hr": "小时", "min": "分钟", "s": "秒", "ms": "毫秒", "µs": "微秒", "ns": "纳秒",
    "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫", "rpm": "转每分钟",
    "W": "瓦", "kW": "千瓦", "MW": "兆瓦", "GW": "吉瓦", "kWh": "千瓦时", "Wh": "瓦时",
    "V": "伏", "kV": "千伏", "mV": "毫伏", "A": "安", "mA": "毫安", "mAh": "毫安时", "Ah": "安时",
    "Ω": "欧姆", "kΩ": "千欧", "MΩ": "兆欧", "Pa": "帕", "hPa": "百帕", "kPa": "千帕",
    "MPa": "兆帕", "kJ": "千焦", "cal": "卡", "kcal": "千卡", "N": "牛", "dB": "分贝",
    "mol": "摩尔", "px": "像素", "fps": "帧每秒", "ppm": "百万分之一", "Mbps": "兆比特每秒",
    "Gbps": "吉比特每秒", "kbps": "千比特每秒", "lx": "勒克斯", "lm": "流明", "bar": "巴",
    "°": "度", "″": "英寸",
}  # fmt: skip
"""Units after a number; letters that are no unit here, as GB, are read as letters."""

_UNIT = rf"(?:{alternatives(UNITS_BY_SIGN)})(?![A-Za-z0-9²³])"
_PER = r"(?:h|s|min|m²|m2|m³|m3|cm³|cm3|kg|km|mL|ml|mol|L|l|K|d)(?![A-Za-z0-9²³])"
_PER_NAMES = UNITS_BY_SIGN | {"K": "开", "d": "天"}
_TO = r" ?(?:-|~|—|至|到) ?"
_DEGREES = r" ?° ?([CF])(?![A-Za-z])"
_SCALES = {"C": "摄氏度", "F": "华氏度"}


def _degrees(text: str) -> str:
    """Return a temperature without its scale: "-3" is "零下三"."""
    minus = text.startswith("-")
    words = amount(text.lstrip("+-"))
    return f"零下{number(text.lstrip('-'))}" if minus else words


def _temperatures(match: re.Match[str]) -> str:
    scale = _SCALES[match[4]]
    first = f"{_degrees(match[1])}{_SCALES[match[2]] if match[2] else ''}"
    return f"{first}到{_degrees(match[3])}{scale}"


def _measure(match: re.Match[str]) -> str:
    if len(match[3]) == 1 and re.search("[A-Za-z][ -]?$", text_before(match)):
        return match[0]  # a name: "iPhone 5s"
    if match[3] == "A" and not re.search("[电流V伏]", text_before(match)):
        return match[0]  # a seat or a class
    return f"{amount(match[1])}{match[2]}{UNITS_BY_SIGN[match[3]]}"


def _inches(match: re.Match[str]) -> str:
    """Return inches, unless the sign closes a quotation."""
    return match[0] if '"' in text_before(match) else f"{amount(match[1])}英寸"


def _range(match: re.Match[str]) -> str:
    unit = UNITS_BY_SIGN[match[4]]
    between = UNITS_BY_SIGN[match[2]] if match[2] else ""
    return f"{amount(match[1])}{between}到{amount(match[3])}{unit}"


TEMPERATURES = RuleGroup(
    re.compile(r"\d ?°|\d度"),
    (
        rule(
            rf"([-+]?{NUMBER})(?:{_DEGREES})?{_TO}([-+]?{NUMBER}){_DEGREES}",
            _temperatures,
            ("-3~5℃", "零下三到五摄氏度"),
            ("-3°C至5°C", "零下三摄氏度到五摄氏度"),
            ("18-25℃", "十八到二十五摄氏度"),
        ),
        rule(
            rf"((?:(?<![\w.)])|(?<=[\u4e00-\u9fff]))[-+]?{NUMBER}){_DEGREES}",
            lambda m: _degrees(m[1]) + _SCALES[m[2]],
            ("-3℃", "零下三摄氏度"),
            ("气温-3°C", "气温零下三摄氏度"),
            ("98.6°F", "九十八点六华氏度"),
        ),
        rule(
            rf"(?<![\w.])-({NUMBER})度",
            lambda m: f"零下{number(m[1])}度",
            ("-5度", "零下五度"),
        ),
    ),
)
"""Temperatures, with 零下 below zero."""

UNITS = RuleGroup(
    re.compile(r"\d[百千万亿]* ?[A-Za-z°µΩ″\"]|/"),
    (
        rule(
            rf"({NUMBER}) ?({_UNIT})/({_PER})",
            lambda m: f"{amount(m[1])}{UNITS_BY_SIGN[m[2]]}每{_PER_NAMES[m[3]]}",
            ("60km/h", "六十千米每小时"),
            ("3 m/s", "三米每秒"),
            ("1.2g/cm³", "一点二克每立方厘米"),
        ),
        rule(
            rf"({NUMBER}) ?({_UNIT})?{_TO}({NUMBER}) ?({_UNIT})",
            _range,
            ("3-5kg", "三到五千克"),
            ("2cm~3cm", "两厘米到三厘米"),
        ),
        rule(
            rf"({NUMBER})([百千万亿]*) ?({_UNIT})(?!级)",
            _measure,
            ("1.5亿km", "一点五亿千米"),
            ("5kg", "五千克"),
            ("20m²", "二十平方米"),
            ("2kg", "两千克"),
            ("iPhone 5s", "iPhone 五s"),
            ("5 kWh", "五千瓦时"),
            ("45°", "四十五度"),
            ("5A级景区", "五A级景区"),
            ("电流5A", "电流五安"),
            ("座位32A", "座位三十二A"),
        ),
        rule(rf"({NUMBER})\"", _inches, ('27"显示器', "二十七英寸显示器")),
        rule(
            rf"(?<=[米克升元时分秒]) ?/ ?({_PER})",
            lambda m: f"每{_PER_NAMES[m[1]]}",
            ("5元/kg", "五元每千克"),
        ),
    ),
)
"""Units by their signs."""
