"""Times of day: "9:30 p.m.", "14:05", "9am–5pm"; and ratios, which look like them."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import cardinal, digits, label, two_digits
from voxcpm_openai.english.rule import RuleGroup, rule, text_after

_HALF = r"([AaPp](?:\. ?[Mm]\.|[Mm]\b\.?(?=$| [A-Z])|[Mm]\b))"
_HOUR = r"([01]?\d|2[0-4])"
_HALF_AHEAD = r"(?=\d{1,2}(?:[:.]\d\d)? ?[AaPp]\.? ?[Mm]\b)"


def clock(hour: str, minute: str | None, second: str | None, *, half: str = "") -> str:
    """Return "nine thirty", "fourteen oh five", "eight o'clock"; before P M "eight"."""
    words = cardinal(str(int(hour)))
    if minute and minute != "00":
        words += f" {two_digits(minute)}"
    elif minute and (second or not half):
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second:
        words += f" and {cardinal(str(int(second)))} second{'' if int(second) == 1 else 's'}"
    return words


def _time(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    words = clock(hour, minute, second, half=half)
    if half:
        words += f" {half[0].upper()}\u00a0M"
        if half.endswith(".") and re.match(r"[\"”’)]*(?:$| [A-Z])", text_after(match)):
            words += "."
    return words


def _stopped(match: re.Match[str]) -> str:
    """Return the time of a race: "1:27:57.9" is "one twenty-seven fifty-seven point nine"."""
    hour, minute, second, rest = match.groups()
    minutes = (
        f"{cardinal(hour)} {two_digits(minute.zfill(2))}" if hour else cardinal(str(int(minute)))
    )
    return f"{minutes} {two_digits(second)} point {digits(rest)}"


TIMES = RuleGroup(
    re.compile(r"\d:\d|at 0\d|\d hours|\d ?[AaPp]\.? ?[Mm]\b|(?:noon|midnight) ?[-–]"),
    (
        rule(
            rf"(?:(?<=[\dmM.])|(?<=noon)|(?<=midnight)) ?[–-] ?{_HALF_AHEAD}"
            r"|(?<=:\d\d) ?[–-] ?(?=\d{1,2}:\d\d)|(?<=[\d ][AaPp][Mm]) ?[–-] ?(?=noon|midnight)",
            " to ",
            ("from 9pm–10pm", "from nine P\u00a0M to ten P\u00a0M"),
            ("10:30-11:45", "ten thirty to eleven forty-five"),
            ("noon-1pm", "noon to one P\u00a0M"),
        ),
        rule(
            rf"(?<![\w.,:-]){_HOUR}(?:[:.]([0-5]\d))?(?::([0-5]\d))? ?{_HALF}",
            _time,
            ("9:30 p.m., or", "nine thirty P\u00a0M, or"),
            ("8:00 AM", "eight A\u00a0M"),
            ("9pm or 10.30 am", "nine P\u00a0M or ten thirty A\u00a0M"),
            ("at 5 p.m. The train", "at five P\u00a0M. The train"),
        ),
        rule(
            r"(?<![\w.,:-])([1-9]\d?):00(?= (?:left|remaining|to go|to play)\b)",
            lambda m: f"{cardinal(m[1])} minute{'' if m[1] == '1' else 's'}",
            ("with 2:00 left", "with two minutes left"),
        ),
        rule(
            r"(?<=\bat )(0\d)([0-5]\d)(?![\w:]|[.,-]\d| hours)",
            lambda m: f"oh {cardinal(m[1][1])} {'hundred' if m[2] == '00' else two_digits(m[2])}",
            ("leaves at 0630", "leaves at oh six thirty"),
        ),
        rule(
            r"(?<![\w.,:-])([01]\d|2[0-4])([0-5]\d)(?= hours\b)",
            lambda m: f"{label(m[1])} {'hundred' if m[2] == '00' else two_digits(m[2])}",
            ("at 0900 hours", "at zero nine hundred hours"),
        ),
        rule(
            rf"(?<![\w.,:-]){_HOUR}:([0-5]\d)(?::([0-5]\d))?()(?![\w:]|\.\d)",
            _time,
            ("or 14:05", "or fourteen oh five"),
            ("at 8:00", "at eight o'clock"),
            ("at 6:00:30", "at six o'clock and thirty seconds"),
            ("at 14:00", "at fourteen hundred"),
        ),
        rule(
            r"(?<![\w.,:-])(?:(\d{1,2}):)?([0-5]?\d):([0-5]\d)\.(\d{1,3})(?![\w:])",
            _stopped,
            ("ran it in 3:43.13", "ran it in three forty-three point one three"),
        ),
        rule(
            r"(?<![\w.,:])(\d{1,3}):(\d{1,3})(?![\w:]|\.\d)",
            lambda m: f"{cardinal(m[1])} to {cardinal(m[2])}",
            ("a ratio of 3:1", "a ratio of three to one"),
        ),
    ),
)
