"""Pronunciation dictionaries: the lexicons that clients have stored."""

from __future__ import annotations

import dataclasses
import json
import logging
import secrets
import time
from collections.abc import Sequence

from voxcpm_openai.errors import InvalidRequest, UnknownDictionary
from voxcpm_openai.principal import ANONYMOUS, Principal, Role
from voxcpm_openai.text.lexicon import Lexicon, LexiconRule
from voxcpm_openai.voices.store.data_folder import DataFolder, Dictionary

logger = logging.getLogger(__name__)

MAX_DICTIONARIES = 100
"""The most dictionaries of one owner."""
MAX_RULES = 10_000
"""The most rules in all dictionaries of one owner.  They are kept in memory."""

UNREADABLE = (OSError, ValueError, TypeError, RecursionError)
"""What reading rules raises if their file is not what it should be."""

Ids = tuple[str, ...]


class DictionaryStore:
    """The dictionaries in the data folder.  A principal sees only its own; the operator sees all.

    A dictionary is never changed, so its rules are read once.
    """

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        self._lexicons: dict[str | None, tuple[Ids, Lexicon]] = {}  # by owner

    def all(self, principal: Principal = ANONYMOUS) -> list[Dictionary]:
        """Return the principal's dictionaries, in the order in which they were stored."""
        stored = self._data.dictionaries.all().values()
        return [one for one in stored if principal.can_modify(one.owner)]

    def get(self, id_: str, principal: Principal = ANONYMOUS) -> Dictionary:
        """Return a dictionary.  Raises UnknownDictionary."""
        return self._own(self._data.dictionaries.all().get(id_), id_, principal)

    def rules(self, id_: str, principal: Principal = ANONYMOUS) -> list[LexiconRule]:
        """Return the rules of a dictionary, in their order.  Raises UnknownDictionary."""
        self.get(id_, principal)
        try:
            return self._read(id_)
        except UNREADABLE as error:  # deleted meanwhile, or broken
            raise UnknownDictionary(_unknown(id_)) from error

    def add(
        self,
        name: str,
        rules: Sequence[LexiconRule],
        *,
        description: str = "",
        principal: Principal = ANONYMOUS,
    ) -> Dictionary:
        """Add a dictionary.

        Raises InvalidRequest if the owner has too many (``dictionaries_full``), Unauthorized and
        StorageUnwritable.
        """
        owner = principal.owner
        content = json.dumps([dataclasses.asdict(rule) for rule in rules], ensure_ascii=False)
        with self._data.writing():
            stored = self._data.dictionaries.scan().values()
            own = [one.rules for one in stored if one.owner == owner]
            if len(own) >= MAX_DICTIONARIES:
                raise _full(f"{MAX_DICTIONARIES} pronunciation dictionaries")
            if sum(own) + len(rules) > MAX_RULES:
                raise _full(f"{MAX_RULES} rules in all pronunciation dictionaries")
            now = time.time_ns()
            dictionary = Dictionary(
                # Ids begin with the time: records of one second are listed by id.
                id=f"dict_{now:016x}{secrets.token_hex(8)}",
                name=name,
                created_at=now // 1_000_000_000,
                owner=owner,
                description=description,
                rules=len(rules),
            )
            self._data.dictionaries.put(dictionary, content.encode())
        return dictionary

    def remove(self, id_: str, principal: Principal = ANONYMOUS) -> None:
        """Delete a dictionary.  Raises UnknownDictionary, StorageUnwritable."""
        with self._data.writing():
            self._own(self._data.dictionaries.scan().get(id_), id_, principal)
            self._data.dictionaries.remove(id_)

    def lexicon(self, principal: Principal = ANONYMOUS) -> Lexicon:
        """Return the rules of all dictionaries that apply to the principal's requests.

        These are the ones that it has stored; for the operator those that belong to no key.
        """
        if principal.role is Role.ANONYMOUS:
            return Lexicon()
        owner = principal.key_id
        ids = tuple(d.id for d in self._data.dictionaries.all().values() if d.owner == owner)
        known, lexicon = self._lexicons.get(owner, ((), Lexicon()))
        if ids != known:
            lexicon, complete = self._load(ids)
            if complete:
                self._lexicons[owner] = ids, lexicon
        return lexicon

    def _load(self, ids: Ids) -> tuple[Lexicon, bool]:
        """Return the rules of dictionaries, and whether all could be read."""
        rules: list[LexiconRule] = []
        complete = True
        for id_ in ids:
            try:
                rules += self._read(id_)
            except UNREADABLE as error:
                path = self._data.dictionaries.content(id_)
                logger.warning("%s cannot be read: %s", path, error)
                complete = complete and not isinstance(error, OSError)
        return Lexicon(rules), complete

    def _read(self, id_: str) -> list[LexiconRule]:
        content = self._data.dictionaries.read(id_)
        return [LexiconRule(**row) for row in json.loads(content)]

    def _own(self, dictionary: Dictionary | None, id_: str, principal: Principal) -> Dictionary:
        if dictionary is None or not principal.can_modify(dictionary.owner):
            raise UnknownDictionary(_unknown(id_))
        return dictionary


def _full(limit: str) -> InvalidRequest:
    return InvalidRequest(
        f"The limit of {limit} is reached. Delete a dictionary that is not needed.",
        code="dictionaries_full",
    )


def _unknown(id_: str) -> str:
    return f"The pronunciation dictionary '{id_}' does not exist."
