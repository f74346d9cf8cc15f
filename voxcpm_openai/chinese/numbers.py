"""Chinese characters for numbers."""

from __future__ import annotations

NUMBER = r"(?<![\d.])\d+(?:\.\d+)?(?!\.?\d)"
"""A pattern of a whole or decimal number, which is not a part of a longer one."""

HAN = "[\u3400-\u4dbf\u4e00-\u9fff]"
"""A pattern of a Chinese character."""

_DIGITS = "零一二三四五六七八九"
_LONGEST = 16
"""The digits of the largest number that is read as one; longer ones are read digit by digit."""


def digits(text: str) -> str:
    """Return digits one by one: "42" is "四二"."""
    return "".join(_DIGITS[int(char)] for char in text if char.isdecimal())


def spelled(text: str) -> str:
    """Return digits one by one with 幺 for 1, as in telephone and room numbers."""
    return digits(text).replace("一", "幺")


def cardinal(text: str) -> str:
    """Return a whole number as it is counted: "110" is "一百一十", "007" is "零零七"."""
    if len(text) > _LONGEST or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    return _whole(int(text)) or "零"


def amount(text: str) -> str:
    """Return a number before what is counted, with 两: "2" is "两", "2000" is "两千"."""
    words = number(text)
    if words == "二":
        return "两"
    return "两" + words[1:] if words[0] == "二" and words[1:2] in tuple("百千万亿") else words


def number(text: str) -> str:
    """Return a whole or decimal number: "-3.50" is "负三点五零"."""
    sign = {"-": "负", "+": "正"}.get(text[:1], "")
    whole, _, decimals = text.lstrip("+-").partition(".")
    words = cardinal(whole or "0")
    return sign + (f"{words}点{digits(decimals)}" if decimals else words)


def short(text: str) -> str:
    """Return a number without the zeros that end its decimals, as prices are read."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def fraction(top: str, bottom: str) -> str:
    """Return a fraction: "3", "4" is "四分之三"."""
    return f"{cardinal(bottom)}分之{number(top)}"


def _whole(value: int) -> str:
    """Return a positive number; nothing for zero."""
    for size, unit in ((10**8, "亿"), (10**4, "万")):
        if value >= size:
            high, low = divmod(value, size)
            zero = "零" if 0 < low < size // 10 else ""
            return _whole(high) + unit + zero + _low(low, bare=False)
    return _low(value, bare=True)


def _low(value: int, *, bare: bool) -> str:
    """Return the lower part of a number; ``bare``: ten is "十" where nothing is before it."""
    if value >= 10**4:
        words = _whole(value)
        return words if bare or not words.startswith("十") else f"一{words}"
    words, gap = "", False
    for size, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, value = divmod(value, size)
        if digit:
            words += ("零" if gap and words else "") + _DIGITS[digit] + unit
        gap = not digit
    return words[1:] if bare and words.startswith("一十") else words
