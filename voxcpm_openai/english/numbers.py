"""English words for numbers.  The words themselves are those of the package normt2s."""

from __future__ import annotations

from normt2s.langs import get_language

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
"""A pattern of a whole or decimal number, with or without commas."""

_ENGLISH = get_language("en")
_LONGEST = 15
"""The digits of the largest number that is read as one; longer ones are read digit by digit."""


def digits(text: str) -> str:
    """Return digits one by one: "42" is "four two"."""
    return str(_ENGLISH.digits("".join(char for char in text if char.isdecimal())))


def cardinal(text: str) -> str:
    """Return a whole number, with or without commas: "1,234" is "one thousand two hundred ..."."""
    plain = text.replace(",", "")
    if len(plain) > _LONGEST or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return str(_ENGLISH.cardinal(int(plain)))


def ordinal(number: int) -> str:
    """Return an ordinal: 21 is "twenty-first"."""
    return str(_ENGLISH.ordinal(number))


def number(text: str) -> str:
    """Return a whole or decimal number: "-3.50" is "minus three point five zero"."""
    sign = "minus " if text[:1] in "-−" else ""
    whole, _, decimals = text.lstrip("-−+").partition(".")
    words = cardinal(whole or "0")
    return sign + (f"{words} point {digits(decimals)}" if decimals else words)


def year(text: str) -> str:
    """Return a year: "1905" is "nineteen oh five"; others than of four digits are cardinals."""
    return str(_ENGLISH.year(int(text))) if len(text) == 4 else cardinal(text)


def decade(text: str) -> str:
    """Return a decade: "1990" is "nineteen nineties", "80" is "eighties"."""
    return str(_ENGLISH.decade(int(text)))


def fraction(top: int, bottom: int) -> str:
    """Return a fraction: 3, 4 is "three quarters"; a bottom of one or zero is "over"."""
    if bottom < 2:
        return f"{cardinal(str(top))} over {cardinal(str(bottom))}"
    return str(_ENGLISH.fraction(top, bottom))


def mixed(whole: str, top: int, bottom: int) -> str:
    """Return a whole number and a fraction: "2", 1, 2 is "two and a half"."""
    words = fraction(top, bottom)
    return f"{cardinal(whole)} and {'a' + words[3:] if top == 1 and bottom > 1 else words}"


def two_digits(text: str) -> str:
    """Return two digits as in a time or a year: "05" is "oh five"."""
    return f"oh {cardinal(text[1])}" if text[0] == "0" else cardinal(text)


def label(text: str) -> str:
    """Return the number of a model, a flight or a room: "320" is "three twenty".

    Leading zeros and more than four digits are read digit by digit.
    """
    if text[0] == "0" or len(text) > 4:
        return digits(text)
    if len(text) < 3 or text.endswith("00"):
        return cardinal(text) if len(text) < 4 else year(text)
    return f"{cardinal(text[:-2])} {two_digits(text[-2:])}"


def plural(words: str) -> str:
    """Return the plural of a number: "six" is "sixes", "twenty" is "twenties"."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")
