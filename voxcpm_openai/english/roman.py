"""Roman numerals: "Chapter IV", "Louis XIV", "the XIX century"; never the word "I"."""

from __future__ import annotations

import re
from collections.abc import Callable

from voxcpm_openai.english.numbers import cardinal, ordinal, year
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule

_NUMERAL = "(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# Not before the rest of an initial, a contraction or a word with a hyphen: "V. Poor", "I'm".
_END = r"\b(?!\.\s?[A-Z]|['’](?!s\b)\w|-\w)"

# "XIV, XV and XVI" and "IV–VI"; a single "I" goes on with a list only at its start.
_LIST = rf"{_NUMERAL}\b(?:(?:, |,? (?:and|or|to|through) |[–-])(?!I\b){_NUMERAL}\b)*"

_NUMBERED = (
    "Chapter Part Volume Book Act Scene Section Article Appendix Figure Table Title Class Type "
    "Phase Stage Grade Level Mark Unit Group Category Division Episode Season Lesson Exhibit Annex "
    "Schedule Canto Sonata Symphony Psalm Paragraph Factor Tier Round Question Theorem Rule Page"
).split()
_NUMBERED += [word.lower() for word in _NUMBERED if word != "Mark"]
_NUMBERED += [word + "s" for word in _NUMBERED if word[-1] not in "sx"]
_ALWAYS_NUMBERED = (
    "World War", "world war", "World Wars", "Super Bowl", "WrestleMania", "Gemini", "Apollo",
    "Rocky",
    "Final Fantasy", "Grand Theft Auto", "GTA", "Star Wars", "Star Trek", "Street Fighter", "Rambo",
    "Halloween", "Saw", "Civilization", "Age of Empires", "Quake", "Diablo",
)  # fmt: skip
# What follows a single "I" that is a number: the end, a mark, or a word that is no verb of "I".
_AFTER_ONE = (
    r"(?=[.,:;)\]]|$| (?:of|errors?|diabetes|collagen|trials?|cancer|study|evidence|clinical|drugs?"
    r"|sites?)\b)"
)
_VERBS = "is|was|and|to|begins|ends|describes|contains|covers|tells|deals|opens"

_RULERS = (
    "John Thomas Louis Henry Elizabeth Charles George Edward William James Richard Philip "
    "Philippe Paul Benedict Pius Napoleon Nicholas Frederick Friedrich Wilhelm Alexander Leo "
    "Gregory Innocent Urban Clement Ramses Ramesses Ptolemy Otto Ferdinand Francis Mary "
    "Robert Harald Haakon Gustav Christian Peter Ivan Constantine Theodosius Leopold Albert "
    "Alfonso Sixtus Julius Carlos Juan Cleopatra Catherine Victor Umberto Margrethe Amenhotep "
    "Thutmose Darius Xerxes Mehmed Selim Murad Antiochus Boniface Adrian Celestine Sigismund "
    "Rudolf Maximilian Joseph Franz Baldwin Kenneth Donald David Edmund Harold Olaf Magnus "
    "Eric Erik Carl Karl Oscar Manuel Pedro Rama Justinian Michael Stephen Casimir Felipe "
    "Henri Akihito Charlemagne Isabella"
).split()
# Names of many people: after these a single letter is an initial, unless a title is before them.
_COMMON = frozenset(
    "John Thomas James Robert Peter Paul Joseph Donald Kenneth David Michael Stephen Eric Erik "
    "Carl Karl Victor Oscar Juan Manuel".split()
)
_TITLES = "King Queen Pope Emperor Empress Tsar Czar Prince Kaiser Sultan Duke Pharaoh".split()
_REIGNED = "is|was|has|had|ruled|reigned|died|became|succeeded|abdicated|ascended|married|and"
_GIVEN = (
    "John William George James Robert Thomas Charles Henry Edward Richard Walter Frank Samuel "
    "Joseph David Michael Martin Albert Arthur Daniel Peter Paul Sammy Davis Thurston Harry Howard "
    "Hank Ken Louis Benjamin Theodore Frederick Philip Alexander Andrew Anthony Christopher Mark"
).split()
_ORDERED = (
    "century|centuries|Century|Centuries|dynasty|Dynasty|Olympiad|Olympics|Legion|Congress"
    "|arrondissement|Amendment|Army|Corps"
)


def value(numeral: str) -> int:
    """Return the value of a Roman numeral."""
    total = 0
    for char, following in zip(numeral, [*numeral[1:], "I"], strict=True):
        here = _VALUES[char]
        total += -here if here < _VALUES[following] else here
    return total


def _each(numerals: str, read: Callable[[int], str]) -> str:
    """Return a list of numerals in words; the dash of a range is "to"."""
    spaced = re.sub("[–-]", " to ", numerals)
    return re.sub(_NUMERAL, lambda m: read(value(m[0])), spaced)


def _number(value_: int) -> str:
    return cardinal(str(value_))


def _the_ordinal(value_: int) -> str:
    return f"the {ordinal(value_)}"


def _cardinal(match: re.Match[str]) -> str:
    return f"{match[1]} {_each(match[2], _number)}"


def _ordinal(match: re.Match[str]) -> str:
    return f"{match[1]} {_each(match[2], _the_ordinal)}"


def _ruler(match: re.Match[str]) -> str:
    initial = match[2] in "CDLM" or (len(match[2]) == 1 and match[1] in _COMMON)
    return match[0] if initial else _ordinal(match)


def _the_first(match: re.Match[str]) -> str:
    name = match[1] or match[3]
    return match[0] if name in _COMMON else f"{name} the first"


def _small(match: re.Match[str]) -> str:
    """Return "chapter twelve" for "chapter xii"."""
    numeral = match[2] or match[4]
    return f"{match[1] or match[3]} {cardinal(str(value(numeral.upper())))}"


def _any_number(match: re.Match[str]) -> str:
    is_numeral = re.fullmatch(_NUMERAL, match[2])
    return cardinal(str(value(match[2]))) if is_numeral and not match[1] else match[0]


def _year(match: re.Match[str]) -> str:
    return year(str(value(match[1]))) if re.fullmatch(_NUMERAL, match[1]) else match[0]


ROMAN = RuleGroup(
    re.compile(r"\b[IVXLCDM]+(?:st|nd|rd|th)?\b|\b[ivx]{2,}\b|[a-z] [vx]\b|\bWW[I12]"),
    (
        rule(
            rf"\b((?:{alternatives(_NUMBERED)}) [IVX]+)\.(?=\d)",
            r"\1 point ",
            ("Section III.2", "Section three point two"),
        ),
        rule(
            rf"\b({_NUMERAL})(?= (?:{_ORDERED})\b)|\b((?=[IVX])(?!I[a-z]){_NUMERAL})(?:st|nd|rd"
            rf"|th)\b",
            lambda m: ordinal(value(m[1] or m[2])),
            ("the XIX century", "the nineteenth century"),
            ("In the XVIII dynasty.", "In the eighteenth dynasty."),
        ),
        rule(
            rf"\b((?:{'|'.join(_TITLES)}) [A-Z]\w+(?: [A-Z]\w+)?) ({_NUMERAL}){_END}",
            _ordinal,
            ("King Charles I was executed.", "King Charles the first was executed."),
            ("Pope John Paul II spoke.", "Pope John Paul the second spoke."),
            ("Queen Victoria met King Charles.", "Queen Victoria met King Charles."),
        ),
        rule(
            rf"\b({'|'.join(_RULERS)}) ((?!I\b|[VX] [A-Z][a-z]){_LIST}(?: and I\b(?=[.,;:]"
            rf"|$))?){_END}",
            _ruler,
            ("Louis XIV", "Louis the fourteenth"),
            ("Elizabeth II's reign", "Elizabeth the second's reign"),
            ("Henry V fought.", "Henry the fifth fought."),
            ("Louis XIV, XV and XVI", "Louis the fourteenth, the fifteenth and the sixteenth"),
            ("Henry V. Poor", "Henry V Poor"),
            ("Peter C Smith", "Peter C Smith"),
        ),
        rule(
            rf"\b({'|'.join(_RULERS)}) (I)(?=[,;:)]|\.(?! [A-Z])|['’]s\b| of [A-Z]|$)"
            rf"|(?:^|(?<=[.;:!?] ))({'|'.join(_RULERS)}) (I)(?= (?:{_REIGNED})\b)",
            _the_first,
            ("Elizabeth I of England", "Elizabeth the first of England"),
            ("Henry I died", "Henry the first died"),
            ("With Charles I went home.", "With Charles I went home."),
        ),
        rule(
            rf"\b((?:{'|'.join(_GIVEN)})(?: [A-Z]\.?)? [A-Z][a-z]+),? (II|III|IV){_END}",
            _ordinal,
            ("John Smith III", "John Smith the third"),
        ),
        rule(
            rf"\b({alternatives(_ALWAYS_NUMBERED)}) ((?![CDLM]\b){_LIST}){_END}",
            _cardinal,
            ("World War II", "World War two"),
            ("World War I began.", "World War one began."),
            ("Super Bowl LIV", "Super Bowl fifty-four"),
        ),
        rule(
            rf"\b({alternatives(_NUMBERED)}) ((?!I\b)(?=[IVX]|L[IVX]){_LIST}"
            rf"|I(?: and |, |–|-)(?=[IVX]{{2}}|[VX]\b){_LIST}){_END}",
            _cardinal,
            ("Chapter IV", "Chapter four"),
            ("Act V, Scene II", "Act five, Scene two"),
            ("Chapters IV–VI", "Chapters four to six"),
            ("Acts I and II", "Acts one and two"),
            ("grade C, level C, Type C", "grade C, level C, Type C"),
        ),
        rule(
            rf"\b(?:({alternatives(_NUMBERED)}) ([ivx]{{2,}})"
            r"|([Cc]hapter|[Aa]ct|[Ss]cene|[Pp]age|[Ss]ection|[Bb]ook) ([vx]))\b(?![.'’]\w)",
            _small,
            ("chapter xii, scene ii", "chapter twelve, scene two"),
        ),
        rule(
            r"\bWW(I{1,3}|[12])\b",
            lambda m: f"World War {cardinal(m[1] if m[1].isdecimal() else str(value(m[1])))}",
            ("in WWII", "in World War two"),
        ),
        rule(
            r"\bMk\.? ([IVX]+)\b",
            lambda m: f"Mark {cardinal(str(value(m[1])))}",
            ("the Mk IV", "the Mark four"),
        ),
        rule(
            rf"(?<!\b[Tt]he )(?<!\b[Tt]his )(?<!\b[Aa] )\b((?=[A-Z])"
            rf"(?:{alternatives(_NUMBERED)})) (I)(?= (?:{_VERBS})\b)",
            _cardinal,
            ("Part I and Part II", "Part one and Part two"),
            ("The Book I was reading", "The Book I was reading"),
        ),
        rule(
            rf"\b({alternatives(_NUMBERED)}) (I){_AFTER_ONE}",
            _cardinal,
            ("Part I of the story", "Part one of the story"),
            ("a phase I trial", "a phase one trial"),
            ("The book I read", "The book I read"),
            ("The book I'm reading", "The book I'm reading"),
            ("This is the part I like most.", "This is the part I like most."),
        ),
        rule(
            rf"(?<![\w.'&-])([Aa]n )?([IVX]{{2,}}){_END}(?! (?:drip|line|fluid|bag|therapy))",
            _any_number,
            ("Rocky IV", "Rocky four"),
            ("Final Fantasy VII", "Final Fantasy seven"),
            ("He is on an IV drip.", "He is on an I\u00a0V drip."),
        ),
        rule(
            r"(?<![\w.'-])(?!MIX\b)(M{1,3}(?:CM|D?C{0,3})[XLCIV]{2,}|MM[XVI]+)\b",
            _year,
            ("in MCMXCIX", "in nineteen ninety-nine"),
            ("MIX WELL AND SERVE", "mix well and serve"),
        ),
    ),
)
