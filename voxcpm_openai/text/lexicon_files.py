"""Reading the rules of a lexicon: from TOML and PLS files, and from tables and lists.

Errors are LexiconError and say where: a table and its key, a line, or the number of a rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxcpm_openai.text.lexicon import LexiconError, LexiconRule, RuleError
from voxcpm_openai.text.pls import read_pls

MAX_RULES = 1000
"""The most rules that a client may send at once."""

_OPTIONS = ("case_sensitive", "word_boundaries")
_TABLES = ("alias", "ipa", "rules")


def read_file(path: Path) -> list[LexiconRule]:
    """Return the rules of a file.  Raises LexiconError for the first entry that is wrong."""
    kind = path.suffix.lower()
    readers: dict[str, Callable[[bytes], list[LexiconRule]]] = {
        ".toml": _read_toml,
        ".pls": read_pls,
        ".xml": read_pls,
    }
    if kind not in readers:
        raise LexiconError("it must be a .toml, .pls or .xml file.")
    try:
        return readers[kind](path.read_bytes())
    except OSError as error:
        raise LexiconError(f"it cannot be read: {error.strerror}.") from error


def rules_of_table(table: object) -> list[LexiconRule]:
    """Return the rules of a table: text -> alias, or ``{ipa, alias, case_sensitive, ...}``.

    This is what a voice and a speech request have.  Raises LexiconError.
    """
    if not isinstance(table, Mapping):
        raise LexiconError('must be an object, such as {"Nguyen": "win"}.')
    if len(table) > MAX_RULES:
        raise LexiconError(f"must have at most {MAX_RULES} rules, not {len(table)}.")
    return [_entry(text, value) for text, value in table.items()]


def rules_of_list(items: object) -> list[LexiconRule]:
    """Return the rules of a list as ElevenLabs' dictionaries have it.  Raises LexiconError."""
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_RULES:
        raise LexiconError(f"must be a list of 1 to {MAX_RULES} rules.")
    rules = []
    for number, item in enumerate(items, 1):
        try:
            rules.append(_dictionary_rule(item))
        except RuleError as error:
            names = {"text": "string_to_replace", "ipa": "phoneme"}
            wrong = names.get(error.field, error.field)
            raise LexiconError(f"rule {number}: '{wrong}' {error.problem}") from error
    return rules


def _read_toml(content: bytes) -> list[LexiconRule]:
    try:
        file = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LexiconError(f"it is not TOML: {error}.") from error
    if unknown := [name for name in file if name not in _TABLES]:
        raise LexiconError(f"{unknown[0]!r} is none of [alias], [ipa] and [[rules]].")
    tables = {name: file.get(name, {}) for name in ("alias", "ipa")}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise LexiconError(f"{name!r} must be a table: [{name}].")
    rows = file.get("rules", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LexiconError("'rules' must be an array of tables: [[rules]].")
    rules = [
        _made(f"[{'], ['.join(found)}] {text!r}", text, found)
        for text in dict.fromkeys(text for table in tables.values() for text in table)
        if (found := {name: table[text] for name, table in tables.items() if text in table})
    ]
    for number, row in enumerate(rows, 1):
        where = f"[[rules]] number {number}"
        fields = {name: value for name, value in row.items() if name != "text"}
        rules.append(_made(where, row.get("text"), fields))
    return rules


def _entry(text: object, value: object) -> LexiconRule:
    if isinstance(value, str):
        return _made(repr(text), text, {"alias": value})
    if isinstance(value, Mapping):
        return _made(repr(text), text, value)
    raise LexiconError(f'{text!r}: must be other words, or a table such as {{"ipa": "wɪn"}}.')


def _made(where: str, text: Any, fields: Mapping[str, Any]) -> LexiconRule:
    """Return a rule; errors name ``where`` it stands."""
    known = ("alias", "ipa", *_OPTIONS)
    if unknown := [name for name in fields if name not in known]:
        raise LexiconError(f"{where}: there is no field {unknown[0]!r}, but {', '.join(known)}.")
    try:
        return LexiconRule(text, **fields)
    except RuleError as error:
        raise LexiconError(f"{where}: {error}") from error


def _dictionary_rule(item: object) -> LexiconRule:
    if not isinstance(item, dict):
        raise RuleError("type", "is required: a rule is an object.")
    options = {name: item[name] for name in _OPTIONS if item.get(name) is not None}
    # ElevenLabs' defaults: rules respect case and words.
    options = {"case_sensitive": True, "word_boundaries": True, **options}
    match item.get("type"):
        case "alias":
            return LexiconRule(_given(item, "string_to_replace"), _given(item, "alias"), **options)
        case "phoneme":
            if item.get("alphabet") != "ipa":
                raise RuleError("alphabet", "must be 'ipa'.")
            text, ipa = _given(item, "string_to_replace"), _given(item, "phoneme")
            return LexiconRule(text, ipa=ipa, **options)
    raise RuleError("type", "must be 'alias' or 'phoneme'.")


def _given(item: Mapping[str, Any], name: str) -> Any:
    if item.get(name) is None:
        raise RuleError(name, "is required.")
    return item[name]
