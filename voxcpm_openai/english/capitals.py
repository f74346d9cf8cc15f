"""Words in capitals: "HTML" is spelled, "NASA" is a word, "THE END" is shouted.

Letters that are read one by one are joined by no-break spaces: an engine may stress them as one
word.
"""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, rule
from voxcpm_openai.english.words_in_capitals import LETTERS, SHORT_WORDS, SPELLED, WORDS

_THRICE = re.compile(r"([A-Z])\1\1")
_VOWEL = re.compile("[AEIOUY]")
# Letters that are one sound, for counting consonants: "RIGHTS", "BIRTHDAY".
_ONE_SOUND = re.compile("[CGPSTW]H|CK|NG|QU")
_START = "(?:[SC]?[HLRW]|[STC]R|ST[R]?|S[CKMNPQTW][LR]?|[BCDFGPT][LR]|[KW][NR]|[A-Z])"
_HARD = re.compile(f"[^AEIOUY]{{4}}|^(?!{_START}?[AEIOUY])")
_CLOSED = re.compile("[^AEIOUY]+[AEIOU][^AEIOUY]")
_OPEN = re.compile("[^AEIOUY]?[AEIOU][^AEIOUY][AEIOU][^AEIOUY]?")
# Four letters that end as English words do: "YORK", but not "LAPD".
_ENDED = re.compile(
    f"{_START}[AEIOU]{{1,2}}(?:[BDGKLMNPRSTWXZ]|[BDFGKLMNPRSTVZ]Y|L[DFKLMPT]|M[PS]|N[DKT]|R[DEKLMNPT]|S[KST]"
    f"|[CFP]T)E?"
)
_LONG = 8
_WORD = "[A-Z]{2,}(?:'[A-Z]+)?"
_GAP = "[ ,;:.!?–—-]+"


def spelled(text: str) -> str:
    """Return the letters of an abbreviation: "fbi" is "F B I", "USBs" is "U S Bs"."""
    plural = "s" if len(text) > 2 and text.endswith("s") and text[:-1].isupper() else ""
    letters = text.removesuffix("s") if plural else text
    return "\u00a0".join(letters.upper()) + plural


def is_pronounceable(text: str) -> bool:
    """Return whether letters can be read as a word: "html" cannot."""
    upper = text.upper()
    if upper in SPELLED or not _VOWEL.search(upper):
        return False
    return len(upper) >= _LONG or not _HARD.search(_ONE_SOUND.sub("T", upper))


def _is_short(word: str) -> bool:
    """Return whether a word, or its singular, is a common short one."""
    return word in SHORT_WORDS or (word[-1] == "S" and word[:-1] in SHORT_WORDS)


def _is_open_or_ended(word: str) -> bool:
    return bool(_ENDED.fullmatch(word) or _OPEN.fullmatch(word))


def is_word(capitals: str) -> bool:
    """Return whether an abbreviation among lower-case words is read as a word."""
    if capitals in WORDS:
        return True
    if capitals in SPELLED or len(capitals) < 4:
        return capitals in SHORT_WORDS and capitals not in LETTERS
    if len(capitals) == 4:
        return _is_short(capitals) or _is_open_or_ended(capitals)
    return is_pronounceable(capitals)


def _capitals(match: re.Match[str]) -> str:
    word, plural = match[1], match[2]
    if word == "IEEE":
        return "I triple E"
    if is_word(word):
        # An emphasised word is a plain word; the names of organisations stay as they are.
        return (word if word in WORDS else word.lower()) + plural
    return spelled(word) + plural


def _is_plain(word: str) -> bool:
    """Return whether a word among shouted ones is no abbreviation."""
    stem, _, ending = word.partition("'")
    if ending and ending != "S":
        return True
    if _is_short(stem):
        return True
    if stem in WORDS or stem in SPELLED:
        return False
    if len(stem) == 4:
        return _is_open_or_ended(stem)
    return len(stem) > 4 and is_pronounceable(stem)


def _shouted(match: re.Match[str]) -> str:
    """Return a run of words in capitals in lower case, unless it is a list of abbreviations."""
    run = match[0]
    words = re.findall("[A-Z]+(?:'[A-Z]+)?", run)
    plain = sum(_is_plain(word) for word in words)
    if plain < 2 or plain < len(words) / 2:
        return run
    return re.sub(r"[A-Z]+(?:'[A-Z]+)?", lambda m: _lowered(m[0]), run)


def _lowered(word: str) -> str:
    if word == "I":
        return word
    closed = _CLOSED.fullmatch(word) and word not in WORDS and word not in SPELLED
    return word.lower() if word == "A" or closed or _is_plain(word) else word


def _cried(match: re.Match[str]) -> str:
    """Return "ahhhh" for "AHHHH", but not for "AAAA" or "WWWW"."""
    word = match[0]
    alone = len(set(word)) == 1 or word == "IEEE" or not _THRICE.search(word)
    cried = not alone and (_VOWEL.search(word) or re.fullmatch("H+M+|S+H+|B+R+|G+R+", word))
    return word.lower() if cried else word


CAPITALS = RuleGroup(
    re.compile(r"[A-Z]{2}"),
    (
        rule(
            r"\b[A-Z]{4,}\b",
            _cried,
            ("AHHHHH! NOOO!", "ahhhhh! nooo!"),
            ("some IEEE features", "some I triple E features"),
            ("an AAAA cell", "an A\u00a0A\u00a0A\u00a0A cell"),
        ),
        rule(
            r"(?:(?<=\b[Tt]he )|(?<=\b[Aa]n ))OR\b",
            "O\u00a0R",
            ("the OR nurse", "the O\u00a0R nurse"),
            ("this OR that", "this or that"),
        ),
        rule(
            rf"\b{_WORD}(?:{_GAP}(?:{_WORD}|[IA]\b))+(?![a-z])"
            rf"|\b[IA] {_WORD}(?:{_GAP}(?:{_WORD}|[IA]\b))*(?![a-z])",
            _shouted,
            ("IT WAS A DARK NIGHT.", "it was a dark night."),
            ("LET US GO.", "let us go."),
            ("ALL RIGHTS RESERVED", "all rights reserved"),
            ("NEW YORK", "new york"),
        ),
        rule(
            r"(?<![\w'])[A-Z]+'(?:T|RE|VE|LL|D|M)\b",
            lambda m: m[0].capitalize() if m[0].startswith("I'") else m[0].lower(),
            ("DON'T", "don't"),
        ),
        rule(
            r"(?<![A-Za-z'’])([A-Z]{2,})(s?)(?![A-Za-z])",
            _capitals,
            (
                "NASA and the FBI use HTML.",
                "NASA and the F\u00a0B\u00a0I use H\u00a0T\u00a0M\u00a0L.",
            ),
            ("This is NOT good.", "This is not good."),
            ("BOB left OHIO", "bob left ohio"),
            ("two USBs", "two U\u00a0S\u00a0Bs"),
        ),
        rule(
            r"(?<=[a-z])([A-Z]{2,})(s?)\b",
            lambda m: " " + spelled(m[1]) + m[2],
            ("OpenAI", "Open A\u00a0I"),
        ),
        rule(
            r"(?<![A-Za-z])([A-Z]{2,})(?=[A-Z][a-z]{2})",
            lambda m: f"{spelled(m[1])} ",
            ("JSONPath, XMLHttp", "J\u00a0S\u00a0O\u00a0N Path, X\u00a0M\u00a0L Http"),
        ),
    ),
)
