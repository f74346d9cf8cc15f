"""Chapters and verses: "Gen. 1:1-3", "Ps. 23:4", "1 Cor. 13:4"."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import cardinal
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule

_SHORT = {
    "Gen": "Genesis", "Ex": "Exodus", "Exod": "Exodus", "Lev": "Leviticus", "Num": "Numbers",
    "Deut": "Deuteronomy", "Josh": "Joshua", "Judg": "Judges", "Sam": "Samuel", "Chr": "Chronicles",
    "Chron": "Chronicles", "Neh": "Nehemiah", "Ps": "Psalm", "Pss": "Psalms", "Prov": "Proverbs",
    "Eccl": "Ecclesiastes", "Isa": "Isaiah", "Jer": "Jeremiah", "Lam": "Lamentations",
    "Ezek": "Ezekiel", "Dan": "Daniel", "Hos": "Hosea", "Mic": "Micah", "Hab": "Habakkuk",
    "Zech": "Zechariah", "Mal": "Malachi", "Matt": "Matthew", "Mt": "Matthew", "Mk": "Mark",
    "Lk": "Luke", "Jn": "John", "Rom": "Romans", "Cor": "Corinthians", "Gal": "Galatians",
    "Eph": "Ephesians", "Phil": "Philippians", "Col": "Colossians", "Thess": "Thessalonians",
    "Tim": "Timothy", "Heb": "Hebrews", "Jas": "James", "Pet": "Peter", "Rev": "Revelation",
}  # fmt: skip
_BOOKS = (
    "Genesis|Exodus|Leviticus|Deuteronomy|Joshua|Judges|Samuel|Kings|Chronicles|Psalms?|Proverbs"
    "|Ecclesiastes|Isaiah|Jeremiah|Ezekiel|Daniel|Matthew|Mark|Luke|John|Acts|Romans|Corinthians"
    "|Galatians|Ephesians|Philippians|Colossians|Thessalonians|Timothy|Hebrews|James|Peter"
    "|Revelation"
)
_FIRST = {"1": "First ", "2": "Second ", "3": "Third "}
_FIRST |= {"I": "First ", "II": "Second ", "III": "Third "}


def _verse(match: re.Match[str]) -> str:
    lead, short, book, chapter, verse, last = match.groups()
    name = _FIRST.get(lead or "", "") + (_SHORT[short] if short else book)
    words = f"{name} {cardinal(chapter)} {cardinal(verse)}"
    return words + (f" to {cardinal(last)}" if last else "")


SCRIPTURE = RuleGroup(
    re.compile(r"[a-z]\.? \d{1,3}:\d"),
    (
        rule(
            rf"\b(?:([123]|I{{1,3}}) )?(?:({alternatives(_SHORT)})\.|({_BOOKS})) (\d{{1,3}})"
            r":([1-9]\d{0,2})(?: ?[-–] ?(\d{1,3}))?(?![\w:]| ?[ap]\.?m)",
            _verse,
            ("Gen. 1:1-3", "Genesis one one to three"),
            (
                "Ps. 23:4 and 1 Cor. 13:4",
                "Psalm twenty-three four and First Corinthians thirteen four",
            ),
            ("John 3:16", "John three sixteen"),
        ),
    ),
)
"""Runs before the titles and times."""
