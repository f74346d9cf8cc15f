"""Lexicons: rules that replace parts of a text by other words, or mark their pronunciation.

All rules are applied in one pass over the text, from left to right: of those that match at a place
the longest wins, and what it puts there is not read again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from voxcpm_openai.text.characters import GAP, compose, plain
from voxcpm_openai.text.marks import Marks, Phonemes
from voxcpm_openai.text.script import WIDE, has_words

MAX_LENGTH = 200
"""The longest text, alias or pronunciation of a rule, in characters."""

# A letter or digit of a script that has words.  Chinese, Japanese and Korean have no word borders.
_LETTER = rf"[^\W_{WIDE}]"
# A word, or any other character.  A rule that respects word borders begins where one begins.
_UNIT = re.compile(rf"{_LETTER}+|\S")
# Where a rule may begin: not inside a word, nor inside a number such as 1,500.
_BEGIN = re.compile(rf"(?!{_LETTER})|(?<!{_LETTER})(?:(?!\d)|(?<!\d[.,]))")
# Where it may end: also not before an apostrophe within a word (can't), but before 's and the like.
_END = re.compile(
    rf"(?<!{_LETTER})|(?!{_LETTER}|'(?!(?:s|d|m|ll|re|ve)(?!{_LETTER})){_LETTER})"
    r"(?:(?<!\d)|(?![.,]\d))",
    re.IGNORECASE,
)
_WORD_CHAR = re.compile(_LETTER)
_WIDE_TEXT = re.compile(f"[{WIDE}]+$")
_SOUND = frozenset({"Ll", "Lo"})  # the stress mark ˈ is a letter, too, but a modifier: Lm
_NOT_IPA = re.compile(r"[A-Z0-9]")


class LexiconError(ValueError):
    """A lexicon that cannot be used.  The message says where it is wrong, and why."""


class RuleError(LexiconError):
    """A rule that cannot be used.  ``field`` names what is wrong with it, ``problem`` says why."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"'{field}' {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class LexiconRule:
    """What to say for a text: other words (``alias``), a pronunciation (``ipa``), or both.

    With both, engines that take no phonemes get the alias.  ``word_boundaries``: the text is not
    replaced inside a word.  Raises RuleError for values that cannot be used; the others are kept
    in the form that cleaned texts have.
    """

    text: str
    alias: str | None = None
    ipa: str | None = None
    case_sensitive: bool = False
    word_boundaries: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _line(self.text, "text"))
        if self.alias is None and self.ipa is None:
            raise RuleError("alias", "or 'ipa' is required.")
        if self.alias is not None:
            object.__setattr__(self, "alias", _alias(self.alias))
        if self.ipa is not None:
            object.__setattr__(self, "ipa", _ipa(self.ipa))
        for name in ("case_sensitive", "word_boundaries"):
            if not isinstance(getattr(self, name), bool):
                raise RuleError(name, "must be true or false.")


class Lexicon:
    """Rules of one source, or of several.  Immutable; any thread may use it.

    Of rules of one source for the same text, one with ``case_sensitive`` wins, then the last.
    """

    def __init__(self, rules: Iterable[LexiconRule] = ()) -> None:
        source = _Source(tuple(rules))
        self._sources: tuple[_Source, ...] = (source,) if source.rules else ()

    @classmethod
    def merged(cls, *lexicons: Lexicon) -> Lexicon:
        """Return all rules of several lexicons.  For the same text, a later lexicon's rule wins."""
        merged = cls()
        merged._sources = tuple(source for lexicon in lexicons for source in lexicon._sources)
        return merged

    def __len__(self) -> int:
        return sum(len(source.rules) for source in self._sources)

    @property
    def rules(self) -> tuple[LexiconRule, ...]:
        """All rules, those of later sources last."""
        return tuple(rule for source in self._sources for rule in source.rules)

    def apply(self, text: str, marks: Marks, phonemes: bool) -> str:
        """Return a cleaned text with all rules applied.

        ``phonemes``: pronunciations become marks in the text; without it, rules that have nothing
        else do not exist.  Other marks in the text stay.  The time is linear in its length.
        """
        indexes = [source.index(phonemes) for source in self._sources]
        if not indexes:
            return text
        written = _straight(text)
        folded = _fold(written)
        parts: list[str] = []
        done = 0
        for start, unit in _places(folded, indexes):
            if start < done:
                continue
            best: LexiconRule | None = None
            for index in indexes:
                rule = index.longest(written, folded, start, unit)
                if rule and (best is None or len(rule.text) >= len(best.text)):
                    best = rule
            if best is not None:
                end = start + len(best.text)
                said = _replacement(best, text[start:end], marks, phonemes)
                if best.word_boundaries and _WIDE_TEXT.match(best.text):
                    said = _apart(text[start - 1 : start], said, text[end : end + 1])
                parts += (text[done:start], said)
                done = end
        return "".join((*parts, text[done:]))


class _Source:
    """The rules of one source, and what is needed to find them in a text."""

    def __init__(self, rules: tuple[LexiconRule, ...]) -> None:
        self.rules = rules

    def index(self, phonemes: bool) -> _Index:
        """Return the index of all rules, or of those that need no phonemes."""
        return self._with_phonemes if phonemes else self._aliases

    @cached_property
    def _with_phonemes(self) -> _Index:
        return _Index(self.rules)

    @cached_property
    def _aliases(self) -> _Index:
        aliases = [rule for rule in self.rules if rule.alias is not None]
        return self._with_phonemes if len(aliases) == len(self.rules) else _Index(aliases)


class _Index:
    """Finds the rules that match at a place of a text: by the first word or character, then by
    length, longest first.
    """

    def __init__(self, rules: Iterable[LexiconRule]) -> None:
        bounded: dict[str, set[int]] = {}
        inside: dict[str, set[int]] = {}
        self._rules: dict[tuple[bool, bool], dict[str, LexiconRule]] = {
            (exact, whole): {} for exact in (True, False) for whole in (True, False)
        }
        for rule in rules:
            written = _straight(rule.text)
            folded = _fold(written)
            if rule.word_boundaries:
                found = _UNIT.match(folded)
                assert found is not None
                bounded.setdefault(found[0], set()).add(len(folded))
            else:
                inside.setdefault(folded[0], set()).add(len(folded))
            table = self._rules[rule.case_sensitive, rule.word_boundaries]
            table[written if rule.case_sensitive else folded] = rule
        self.bounded = {unit: sorted(sizes, reverse=True) for unit, sizes in bounded.items()}
        self.inside = {char: sorted(sizes, reverse=True) for char, sizes in inside.items()}

    def longest(
        self, written: str, folded: str, start: int, unit: str | None
    ) -> LexiconRule | None:
        """Return the longest rule that matches at ``start``; ``unit``: what begins there."""
        whole = self._longest(written, folded, start, self.bounded.get(unit or "", ()), True)
        if not self.inside:
            return whole
        part = self._longest(written, folded, start, self.inside.get(folded[start], ()), False)
        return part if part and (not whole or len(part.text) > len(whole.text)) else whole

    def _longest(
        self, written: str, folded: str, start: int, sizes: Sequence[int], whole: bool
    ) -> LexiconRule | None:
        for size in sizes:
            end = start + size
            if end > len(written):
                continue
            rule = self._rules[True, whole].get(written[start:end]) or self._rules[
                False, whole
            ].get(folded[start:end])
            if rule and (not whole or _is_whole(written, start, end)):
                return rule
        return None


def _places(folded: str, indexes: Sequence[_Index]) -> Iterator[tuple[int, str | None]]:
    """Yield where rules may match, and the word or character that begins there, if one does."""
    units = ((found.start(), found[0]) for found in _UNIT.finditer(folded))
    heads = frozenset().union(*(index.inside for index in indexes))
    if not heads:
        yield from units
        return
    begins = dict(units)
    for start, char in enumerate(folded):
        unit = begins.get(start)
        if unit is not None or char in heads:
            yield start, unit


def _is_whole(text: str, start: int, end: int) -> bool:
    """Return whether ``text[start:end]`` neither begins nor ends inside a word or a number."""
    if not _BEGIN.match(text, start) or not _END.match(text, end):
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    # Marks such as Devanagari vowels belong to the letter before them.
    return not (
        _is_combining(after)
        or (_is_combining(before) and text[start].isalnum())
        or (_is_combining(text[end - 1]) and after.isalnum())
    )


def _is_combining(char: str) -> bool:
    """Return whether a character belongs to the letter before it; not if there is none."""
    return char > "\u02ff" and unicodedata.category(char)[0] == "M"


def _replacement(rule: LexiconRule, text: str, marks: Marks, phonemes: bool) -> str:
    if phonemes and rule.ipa is not None:
        return marks.add(Phonemes(text, rule.ipa))
    return text if rule.alias is None else rule.alias


def _apart(before: str, said: str, after: str) -> str:
    """Return an alias with spaces between it and the letters or digits beside it."""
    if _WORD_CHAR.match(before) and _WORD_CHAR.match(said):
        said = " " + said
    return said + " " if _WORD_CHAR.match(said[-1:]) and _WORD_CHAR.match(after) else said


def _straight(text: str) -> str:
    """Return a text of the same length with one kind of apostrophe."""
    return text.replace("’", "'").replace("ʼ", "'")


def _fold(text: str) -> str:
    """Return a text of the same length in which upper and lower case are the same."""
    folded = text.casefold()
    if len(folded) == len(text):  # no character has become two, since none becomes zero
        return folded
    return "".join(map(_fold_char, text))


def _fold_char(char: str) -> str:
    """Return the folded form of one character, if that is one character."""
    for folded in (char.casefold(), char.lower()):
        if len(folded) == 1:
            return folded
    return char


def _line(value: object, field: str) -> str:
    """Return a text in the form that cleaned texts have.  Raises RuleError."""
    line = _trimmed(value, field)
    simple = line.isascii() or "".join(line.split()).isalnum()
    if simple and line.isprintable() and unicodedata.is_normalized("NFKC", line):
        return line
    line = " ".join(compose(plain(line)).split())
    if GAP in line or not line:
        raise RuleError(field, "has a character that is never read aloud, such as an emoji.")
    return line


def _alias(value: object) -> str:
    alias = _line(value, "alias")
    if not has_words(alias):
        raise RuleError("alias", f"has nothing that can be spoken: {alias!r}.")
    return alias


def _ipa(value: object) -> str:
    """Return a pronunciation without the slashes or brackets around it."""
    ipa = _trimmed(value, "ipa")
    if len(ipa) > 2 and ipa[0] + ipa[-1] in ("//", "[]"):
        ipa = ipa[1:-1].strip()
    kinds = set(map(unicodedata.category, ipa))
    if _NOT_IPA.search(ipa) or not kinds & _SOUND or any(kind[0] == "C" for kind in kinds):
        raise RuleError("ipa", f"must be a pronunciation in IPA, such as 'wɪn', not {ipa!r}.")
    return ipa


def _trimmed(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise RuleError(field, "must be a string.")
    line = " ".join(value.split())
    if not 1 <= len(line) <= MAX_LENGTH:
        raise RuleError(field, f"must have 1 to {MAX_LENGTH} characters, not {len(line)}.")
    return line
