"""Sentences: where one ends, and which full stops belong to abbreviations and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from voxcpm_openai.text import abbreviations
from voxcpm_openai.text.script import WIDE

PARAGRAPH, LINE, SENTENCE, CLAUSE = 0.7, 0.45, 0.35, 0.12
"""The pauses, in seconds."""

CLOSERS = "\"'”’»›)\\]}」』】）〕］"
"""Closing quotes and brackets, as the inside of a regex class."""
_OPENERS = "\"'“‘«‹(\\[{「『【（¿¡*_—–\\-"
_LOOK_BACK = 48

_LINES = re.compile(r"[^\n]+")
# Marks that may end a sentence, with closing quotes and brackets.  Chinese and Japanese marks
# need no space after them; French has one before its closing marks.  Because of the lookbehind,
# each run of marks is matched only once.
_SPACED_CLOSER = r" [»›](?=[\s,;:.!?…]|$)|(?<=[!?…]) [)\]}](?=[\s,;:.!?…]|$)"
_END = re.compile(
    rf"(?<![.!?…])(?P<mark>[.!?…।॥؟۔]++)[{CLOSERS}]*+(?:{_SPACED_CLOSER})*+(?=\s|$|[{WIDE}])"
    rf"|(?P<wide>[。！？｡][.!?…。！？｡]*)[{CLOSERS}]*"
)
_WORD = re.compile(r"\S")
# The last word before a full stop, what precedes it, and the word before.
_LAST_WORD = re.compile(r"[^\s\"'“‘«(\[{—–/-]*$")
_WORD_BEFORE = re.compile(r"([^\s\"'“‘«(\[{—–/-]+)[\s\"'“‘«(\[{—–/-]*$")
_NEXT_WORD = re.compile(
    rf"[\s{_OPENERS}]*+(?:[#§$€£¥+№]{{1,2}} ?(?=\d))?(\w{{0,20}}(?:['’]\w{{1,2}}\b)?)(.?)"
)
_ROMAN = re.compile("[IVXLCDM]+")
_SPACED = re.compile(r"[^\W\d_]\.")
_LETTER = re.compile("[A-HJ-Z]")
_GERMAN_STREET = re.compile(r"\w+str")
# What goes on after a mark: punctuation, and particles after a quotation in Japanese and Chinese.
_GOES_ON = re.compile(r" ?[、，；：。！？]")
_PARTICLE = re.compile(
    "と(?!ても|ころ|にかく|もかく|りあえず)|って|の|を|が|に|は(?!い|じめ|やく)|も(?!う|し|っと|ちろん)"
    "|で(?!も|は)|へ|から|まで|など|なんて|的"
)
_SIMPLE_NUMBER = re.compile(r"\d{1,3}|[IVXL]{1,6}")


class Span(NamedTuple):
    """A part of a text, and the pause after it; ``paused``: the client asked for that pause."""

    start: int
    end: int
    pause: float
    paused: bool = False


def sentences(text: str) -> Iterator[Span]:
    """Yield the sentences of all lines."""
    lines = [
        (past_space(text, *m.span()), m.start() + len(m[0].rstrip()))
        for m in _LINES.finditer(text)
        if not m[0].isspace()
    ]
    for number, (start, end) in enumerate(lines):
        following = lines[number + 1][0] if number + 1 < len(lines) else end
        paragraph = text.count("\n", end, following) > 1
        done = start
        for mark in _END.finditer(text, start, end):
            if _ends(text, mark, start, end):
                last = paragraph and mark.end() == end
                yield Span(done, mark.end(), PARAGRAPH if last else SENTENCE)
                done = past_space(text, mark.end(), end)
        if done < end:
            yield Span(done, end, PARAGRAPH if paragraph else LINE)


def past_space(text: str, start: int, end: int) -> int:
    """Return where the first word of ``text[start:end]`` begins, or ``end``."""
    found = _WORD.search(text, start, end)
    return found.start() if found else end


def _ends(text: str, mark: re.Match[str], start: int, end: int) -> bool:
    """Return whether a mark within the line ``text[start:end]`` ends a sentence."""
    quoted = mark[0][-1] in "」』）】〕］”"
    if _GOES_ON.match(text, mark.end(), end) or (quoted and _PARTICLE.match(text, mark.end(), end)):
        return False
    following = _NEXT_WORD.match(text, mark.end(), end)
    word = following[1] if following else ""
    if mark["wide"] or not following or not word:
        return not text.startswith(" &", mark.end())  # "Mr. & Mrs."
    if word[0].islower() and not word[1:2].isupper():  # but "iPhones are ..." begins one
        return False
    signs = mark["mark"]
    if signs == "…" or signs.startswith(".."):
        return not word.startswith("I") or (len(word) > 1 and word[1] not in "'’")
    if signs != ".":
        return True
    before = text[max(start, mark.start() - _LOOK_BACK) : mark.start()]
    return _full_stop_ends(before, word, following[2], text[following.start(1) : end][:_LOOK_BACK])


def _full_stop_ends(before: str, following: str, after: str, rest_after: str) -> bool:
    """Return whether a full stop ends a sentence, not an abbreviation or the number of an item.

    ``before``: the end of the line before it; ``following``: the next word; ``after``: the
    character after that word; ``rest_after``: the line from that word on.
    """
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    rest = before[: len(before) - len(word)]
    found = _WORD_BEFORE.search(rest)
    word_before = found[1] if found else ""
    starts = abbreviations.STARTER.fullmatch(following) is not None and not (
        len(following) == 1 and after == "."  # an initial: "J. I. Smith"
    )
    if abbreviations.STREET.fullmatch(word) and starts:
        return word_before[:1].isupper() or word_before[:1].isdigit()
    if (
        _is_never(word, following, word_before)
        or _is_numbered(word, following, after, word_before)
        # "z. B.", "J. R. R."
        or (len(word) == 1 and word.isalpha() and len(following) == 1 and after == ".")
    ):
        return False
    if abbreviations.NOON.fullmatch(word) and following[0].isalpha():
        return abbreviations.AFTER_NOON.match(rest_after) is None
    if len(word) == 1 and word.isupper():
        return starts or _letter_ends(word, rest)
    return _maybe_ends(word, following, word_before, starts) and not (
        word.isdigit() and len(word) <= 3 and not rest.strip()
    )


def _is_never(word: str, following: str, word_before: str) -> bool:
    """Return whether an abbreviation never ends a sentence, at least not before this word."""
    return (
        abbreviations.TITLE.fullmatch(word) is not None
        or abbreviations.NEVER.fullmatch(word) is not None
        or abbreviations.PAIR.fullmatch(f"{word} {following}") is not None
        or (word in ("ex", "ej") and word_before == "p.")
    )


def _maybe_ends(word: str, following: str, word_before: str, starts: bool) -> bool:
    """Return whether an abbreviation that may end a sentence does; True for any other word.

    ``starts``: the next word is one that begins sentences.
    """
    if word == "v" and (word_before[:1].isupper() or word_before.endswith(".")):
        return starts  # "Roe v. Wade"
    if abbreviations.LARGE.fullmatch(word):
        return abbreviations.GERMAN_STARTER.fullmatch(following) is not None
    if (
        (len(word) == 1 and _SPACED.fullmatch(word_before))  # the second letter of "u. a. Köln"
        or abbreviations.MAYBE.fullmatch(word)
        or abbreviations.STREET.fullmatch(word)
    ):
        return starts
    return True


def _letter_ends(letter: str, rest: str) -> bool:
    """Return whether a full stop after a single capital ends a sentence: not after an initial.

    ``rest``: the line before the letter.  After a name the letter is an initial, after other words
    a name of its own: ``plan B``.
    """
    found = _WORD_BEFORE.search(rest)
    if not found or rest[found.end(1) :].strip(" -") or not found[1][-1].isalnum():
        return False
    before = found[1]
    if abbreviations.LETTER_LABEL.fullmatch(before):
        return True
    if letter == "I" and abbreviations.STARTER.fullmatch(before):  # "And I. Mary left."
        return True
    if before.isdigit():
        return letter in "CFK"
    if abbreviations.BEFORE_NAME.fullmatch(before):
        found = _WORD_BEFORE.search(rest[: found.start(1)])
        return found is not None and _LETTER.fullmatch(found[1]) is not None  # "from A to B."
    return before[0].islower() and letter != "M"  # "avec M. Dupont"


def _is_numbered(word: str, following: str, after: str, word_before: str) -> bool:
    """Return whether a full stop belongs to a number: ``No. 5``, ``Jan. 5``, ``am 3. Oktober``.

    The arguments are those of ``_full_stop_ends``, and the words around the full stop.
    """
    short = word.isdigit() and len(word) <= 2
    dated = after == "." and len(following) <= 2  # "3. 10. 2024"
    month = abbreviations.MONTH_NAME.fullmatch(following) is not None
    german = abbreviations.ORDINAL_BEFORE.fullmatch(word_before) is not None
    if following[0].isdigit():
        dotted = word_before.endswith(".") and word_before[:-1].isdigit()
        return (
            abbreviations.NUMBERED.fullmatch(word) is not None
            or abbreviations.MONTH.fullmatch(word) is not None
            or abbreviations.DAY.fullmatch(word) is not None
            or _GERMAN_STREET.fullmatch(word) is not None
            or (abbreviations.BOOK.fullmatch(word) is not None and after == ":")
            or (abbreviations.UNIT.fullmatch(word) is not None and word_before.isdigit())
            or (abbreviations.LIFE.fullmatch(word) is not None and len(following) == 4)
            or (short and (dated or dotted or german))
        )
    if abbreviations.DAY.fullmatch(word):
        return month
    if _ROMAN.fullmatch(following) and abbreviations.PART.fullmatch(word):
        return True
    if abbreviations.LETTERED.fullmatch(word) and len(following) == 1 and following not in "AI":
        return True
    if word == "Fig" and len(following) == 1 and following in "ABCDEFGH":
        return True
    # An ordinal, as German writes it.
    noun = abbreviations.ORDINAL.fullmatch(following) is not None or (
        abbreviations.ORDINAL_SHARED.fullmatch(following) is not None
        and not word_before[-1:].islower()
    )
    return _SIMPLE_NUMBER.fullmatch(word) is not None and (month or german or (short and noun))
