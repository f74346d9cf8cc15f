"""Reads PLS files, the W3C's Pronunciation Lexicon Specification: XML with ``<lexeme>`` elements.

A file with a document type is refused, so that entities can neither grow nor name other files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from voxcpm_openai.text.lexicon import LexiconError, LexiconRule, RuleError

_NAMESPACE = "http://www.w3.org/2005/01/pronunciation-lexicon"
_SEPARATOR = " "
_TEXTS = ("grapheme", "phoneme", "alias")


@dataclass(slots=True)
class _Lexeme:
    """A lexeme that is being read: its texts, and whether each is preferred, by element."""

    line: int
    texts: dict[str, list[tuple[str, bool]]] = field(
        default_factory=lambda: {name: [] for name in _TEXTS}
    )

    def rules(self) -> list[LexiconRule]:
        """Return a rule for each grapheme, with the preferred or first phoneme and alias."""
        where = f"line {self.line}: <lexeme>"
        alias, ipa = self._chosen("alias"), self._chosen("phoneme")
        if not self.texts["grapheme"]:
            raise LexiconError(f"{where} has no <grapheme>.")
        if alias is None and ipa is None:
            raise LexiconError(f"{where} has neither <phoneme> nor <alias>.")
        try:
            return [LexiconRule(grapheme, alias, ipa) for grapheme, _ in self.texts["grapheme"]]
        except RuleError as error:
            shown = {"text": "grapheme", "ipa": "phoneme"}.get(error.field, error.field)
            raise LexiconError(f"{where}: <{shown}> {error.problem}") from error

    def _chosen(self, name: str) -> str | None:
        """Return the preferred text of an element, else the first, else None."""
        texts = self.texts[name]
        return next(
            (text for text, preferred in texts if preferred), texts[0][0] if texts else None
        )


def read_pls(content: bytes) -> list[LexiconRule]:
    """Return the rules of a PLS file.  Raises LexiconError, which names the line."""
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        problem = f"not valid XML: {expat.ErrorString(error.code)}."
        raise LexiconError(f"line {error.lineno}: {problem}") from error
    except (LookupError, UnicodeError) as error:  # an encoding that Python does not know
        raise LexiconError(f"line 1: not valid XML: {error}.") from error
    return reader.rules


class _Reader:
    """Collects the rules while expat parses a file."""

    def __init__(self) -> None:
        self.rules: list[LexiconRule] = []
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self._path: list[str] = []
        self._alphabet: str | None = None
        self._lexeme: _Lexeme | None = None
        self._text: list[str] | None = None
        self._preferred = False

    def _error(self, problem: str) -> LexiconError:
        return LexiconError(f"line {self.parser.CurrentLineNumber}: {problem}")

    def _doctype(self, *_: object) -> None:
        raise self._error("a DOCTYPE is not allowed.")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        name = name.removeprefix(_NAMESPACE + _SEPARATOR)
        if not self._path:
            if name != "lexicon":
                raise self._error(f"a PLS file begins with <lexicon>, not <{name.split()[-1]}>.")
            self._alphabet = attributes.get("alphabet")
        self._path.append(name)
        if self._path == ["lexicon", "lexeme"]:
            self._lexeme = _Lexeme(self.parser.CurrentLineNumber)
        elif self._path[:-1] == ["lexicon", "lexeme"] and name in _TEXTS:
            self._text = []
            self._preferred = attributes.get("prefer") == "true"
            if name == "phoneme":
                self._check_alphabet(attributes.get("alphabet", self._alphabet))

    def _check_alphabet(self, alphabet: str | None) -> None:
        if alphabet != "ipa":
            named = "no alphabet" if alphabet is None else f"the alphabet {alphabet!r}"
            raise self._error(f"<phoneme> has {named}; it must be 'ipa'.")

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, _name: str) -> None:
        name = self._path.pop()
        if self._path == ["lexicon", "lexeme"] and self._text is not None and self._lexeme:
            self._lexeme.texts[name].append(("".join(self._text), self._preferred))
            self._text = None
        elif self._path == ["lexicon"] and self._lexeme is not None:
            self.rules += self._lexeme.rules()
            self._lexeme = None
