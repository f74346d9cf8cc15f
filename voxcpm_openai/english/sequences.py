"""Digits that are read one by one or by groups: telephone numbers, codes, versions, labels."""

from __future__ import annotations

import re

from voxcpm_openai.english.capitals import spelled
from voxcpm_openai.english.numbers import cardinal, digits, label
from voxcpm_openai.english.rule import RuleGroup, rule


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    country = match[0].lstrip("(").startswith("+")
    words = [_group(group, number) for number, group in enumerate(groups)]
    return ("plus " if country else "") + ", ".join(words)


def _group(group: str, number: int) -> str:
    toll_free = number <= 1 and len(group) == 3 and group.endswith("00") and group[0] in "89"
    return cardinal(group) if toll_free else digits(group)


_CODE = (
    "code|codes|PIN|pin|password|passcode|passcodes|OTP|zip|ZIP|zip code|postcode|serial|account"
    "|agent|extension|ext|combination|serial number|account number|reference|confirmation code|ID"
    "|ending in|ends in|SSN|ISBN|tracking number|last four(?: digits)?"
)
_LABELLED = (
    "[Ff]light|[Rr]oom|Highway|Route|Interstate|Boeing|Airbus|Area|[Bb]us|Apartment|Suite|Unit"
    "|extension|Channel|Studio|Gate|Xbox|RTX|GTX|Ryzen|[Ee]rror|HTTP|[Ss]tatus(?: code)?"
)
_STREET = "Street|Avenue|Boulevard|Road|Lane|Drive|Highway|Square|Court|Place|Way|Parkway|Circle"


def _digit_groups(match: re.Match[str]) -> str:
    """Return "twelve thirty-four fifty-six", or groups of digits one by one."""
    groups = match[0].split("-")
    pairs = all(len(group) <= 2 and group[0] != "0" for group in groups)
    return ", ".join(cardinal(group) if pairs else digits(group) for group in groups)


def _hexadecimal(match: re.Match[str]) -> str:
    spoken = (digits(char) if char.isdigit() else char.upper() for char in match[1])
    return "zero x " + " ".join(spoken)


def _internet_address(match: re.Match[str]) -> str:
    groups = match[0].split(".")
    if not any(len(group) == 3 or group == "0" for group in groups):
        return match[0]
    return " dot ".join(map(digits, groups))


PHONES = RuleGroup(
    re.compile(r"\d[)]?[ .-]+\d{3}|\+\d|\d{7}|\b(?i:call|dial|phone|ring|text)|\(\d"),
    (
        rule(
            r"\b([Tt]ext (?:\w+ )?to )(\d{5,6})\b",
            lambda m: m[1] + digits(m[2]),
            ("Text YES to 741741.", "Text yes to seven four one seven four one."),
        ),
        rule(
            r"(?<=\d{4} )x(?=\d{1,5}\b(?! ?\d))",
            "extension ",
            ("555-0199 x12", "five five five, zero one nine nine extension twelve"),
        ),
        rule(
            r"(?<![\w.,/-])(?:\+\d{1,3}[ .-]?)?\(\d{2,5}\)[ .-]?\d{2,4}[ .-]?\d{3,4}"
            r"(?:[ .-]?\d{2,4})?(?![\w-]|[.,]\d)",
            _phone,
            ("(555) 123-4567", "five five five, one two three, four five six seven"),
        ),
        rule(
            r"(?<![\w.,/-])\+\d{1,3}(?: \(0\))?(?:[ .-]?\d{1,5}){2,6}(?![\w-]|[.,]\d)",
            _phone,
            (
                "+44 20 7946 0958",
                "plus four four, two zero, seven nine four six, zero nine five eight",
            ),
        ),
        rule(
            r"(?<![\w.,/$€£-])(?:1[-. ])?\d{3}([-. ])\d{3}\1?[- .]?\d{4}(?![\w-]|[.,]\d)",
            _phone,
            (
                "Call 1-800-555-0199 now.",
                "Call one, eight hundred, five five five, zero one nine nine now.",
            ),
        ),
        rule(
            r"(?<![\w.,/$€£-])0\d{1,4}[ -]\d{3,4}(?:[ -]?\d{3,4})?(?![\w-]|[.,]\d)",
            _phone,
            (
                "Ring 020 7946 0958.",
                "Ring zero two zero, seven nine four six, zero nine five eight.",
            ),
        ),
        rule(
            r"(?<![\w.,/$€£-])\d{3}-\d{4}(?![\w-]|[.,]\d)",
            _phone,
            ("call 555-0199", "call five five five, zero one nine nine"),
        ),
        rule(
            r"\b((?i:call|dial|phone|ring|called|dialed|dialled)) (\d{3})\b(?: (or|and) (\d{3})\b)?"
            r"(?![-.,]\d| \d| (?:people|times|of)\b)",
            lambda m: f"{m[1]} {digits(m[2])}" + (f" {m[3]} {digits(m[4])}" if m[3] else ""),
            ("Dial 911.", "Dial nine one one."),
            ("Dial 999 or 112.", "Dial nine nine nine or one one two."),
        ),
        rule(
            r"\b((?i:phone|tel|call|cell|number|mobile|fax|text|dial):? )(\d{3}) (\d{4})\b",
            lambda m: f"{m[1]}{digits(m[2])}, {digits(m[3])}",
            ("number: 555 1234", "number: five five five, one two three four"),
        ),
        rule(
            r"\b((?i:phone|telephone|tel|call|text|fax|mobile|cell|number)(?: number)?"
            r"(?: is)?:? )(\d{7,12})\b",
            lambda m: m[1] + digits(m[2]),
            ("call 5550199", "call five five five zero one nine nine"),
        ),
    ),
)

SEQUENCES = RuleGroup(
    re.compile(r"\d"),
    (
        rule(
            r"(?<=\d)[-.]?(alpha|beta|rc|dev|preview|post)\.?(?=\d)",
            r" \1 ",
            ("3.0-beta.2", "three point zero beta two"),
        ),
        rule(
            r"(?<![\w.,/$€£+-])\d+(?:-\d+){2,}(?![\w-]|[.,]\d)",
            _digit_groups,
            ("SSN 123-45-6789", "S\u00a0S\u00a0N one two three, four five, six seven eight nine"),
            ("12-34-56", "twelve, thirty-four, fifty-six"),
        ),
        rule(
            r"\b(\d+)([A-Z]{1,2})(\d+)\b",
            lambda m: f"{digits(m[1])} {spelled(m[2])} {digits(m[3])}",
            ("parcel 1Z999", "parcel one Z nine nine nine"),
        ),
        rule(
            r"\b0[xX]([0-9A-Fa-f]+)\b",
            _hexadecimal,
            ("at 0x1F", "at zero x one F"),
        ),
        rule(
            r"\b802\.(\d\d?)([a-z]{0,2})\b",
            lambda m: f"eight oh two point {cardinal(m[1])} {spelled(m[2])}".strip(),
            ("802.11ac", "eight oh two point eleven A\u00a0C"),
        ),
        rule(
            r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)",
            _internet_address,
            ("192.168.1.1", "one nine two dot one six eight dot one dot one"),
        ),
        rule(
            r"(?<![\w.,$€£¥-])\d+(?:\.\d+){2,}(?!\w)",
            lambda m: " point ".join(cardinal(group) for group in m[0].split(".")),
            ("Version 2.4.1", "Version two point four point one"),
        ),
        rule(
            r"(?<![\w.,-])(#?)(\d+-0\d+)(?![\w-]|[.,]\d)",
            lambda m: "number " * len(m[1]) + ", ".join(map(digits, m[2].split("-"))),
            ("invoice #2023-0045", "invoice number two zero two three, zero zero four five"),
        ),
        rule(
            rf"\b((?i:{_CODE})(?: (?:is|was|number|no\.|:|are))?:? )#?(\d{{3,}})(?![\w.,:/-]*\d"
            rf"|[%°])",
            lambda m: f"{m[1]}{digits(m[2])}",
            ("The code is 4821.", "The code is four eight two one."),
        ),
        rule(
            r"(?<![\w.,:])(?<!\d )0\d+(?![\w:]|[.,]\d)",
            lambda m: digits(m[0]),
            ("agent 007", "agent zero zero seven"),
        ),
        rule(
            r"\b([A-Z]{2}) (\d{5})(?:-(\d{4}))?\b",
            lambda m: f"{spelled(m[1])} {digits(m[2] + (m[3] or ''))}",
            ("CA 90210", "C\u00a0A nine zero two one zero"),
        ),
        rule(
            rf"\b({_LABELLED}) ((?:[A-Z]{{2}} ?)?)(\d{{3,4}})\b(?![.,]\d|[%°])",
            lambda m: " ".join(filter(None, [m[1], m[2].strip(), label(m[3])])),
            ("flight 1549, room 407", "flight fifteen forty-nine, room four oh seven"),
            ("Error 404", "Error four oh four"),
            ("flight UA 182", "flight U\u00a0A one eighty-two"),
        ),
        rule(
            rf"(?<![\w.,-])(\d{{3,5}})(?= (?:[NSEW]\.? |North |South |East |West )?[A-Z][a-z]+ "
            rf"(?:{_STREET})\b)",
            lambda m: label(m[1]),
            ("123 Elm Street", "one twenty-three Elm Street"),
        ),
        rule(
            r"(?<![\w.,/$€£¥+-])\d{10,}(?<!000)(?![\w%°]|[.,/-]\d)",
            lambda m: digits(m[0]),
            ("5551234567", "five five five one two three four five six seven"),
            ("10000000000", "ten billion"),
        ),
    ),
)
