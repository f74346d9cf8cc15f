"""The account of one caller: what its key may use, and what is recorded as its usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from voxcpm_openai.accounts.keyring import Keyring
from voxcpm_openai.accounts.keys import ApiKey, KeyLimits
from voxcpm_openai.accounts.rates import Amount, Budget, Rates, share
from voxcpm_openai.accounts.usage import UsageRecorder
from voxcpm_openai.accounts.usage_store import Amounts
from voxcpm_openai.errors import Unauthorized
from voxcpm_openai.limits import EVERYBODY, Holder
from voxcpm_openai.settings import Settings

REQUESTS, CHARACTERS = "requests", "characters"


class Payer(Protocol):
    """Pays for speech."""

    @property
    def holder(self) -> Holder:
        """By whom running streams are counted."""

    def charge(self, requests: int, characters: int) -> None:
        """Take requests and characters of what may be used.  Raises RateLimited, Unauthorized."""

    def record(self, model: str, requests: int, characters: int) -> None:
        """Record what was made."""


class Nobody:
    """Pays for nothing: for speech that no client has asked for."""

    holder = EVERYBODY

    def charge(self, requests: int, characters: int) -> None:
        """Do nothing."""

    def record(self, model: str, requests: int, characters: int) -> None:
        """Do nothing."""


class Account:
    """What one key may use.  All clients without a key share one account."""

    def __init__(self, accounts: Accounts, key: ApiKey | None) -> None:
        self.budgets: Mapping[str, Budget] = {}
        """What the last charge has left of each limit, by "requests" and "characters"."""
        self._accounts = accounts
        self._key = key
        self._id = key.id if key else ""

    @property
    def key_id(self) -> str | None:
        """The id of the key, or None without one."""
        return self._id or None

    @property
    def key_name(self) -> str:
        """The name of the key, or "" without one."""
        return self._key.name if self._key else ""

    @property
    def holder(self) -> Holder:
        """By whom running streams are counted.  Each worker counts its own."""
        return Holder(self._id, share(self._limit("streams"), self._accounts.workers))

    def charge(self, requests: int, characters: int) -> None:
        """Take requests and characters of what may be used in a minute.

        Raises RateLimited; Unauthorized if the key has been removed meanwhile.
        """
        amounts = (
            Amount(REQUESTS, requests, self._limit("requests_per_minute")),
            Amount(CHARACTERS, characters, self._limit("characters_per_minute")),
        )
        taken = self._accounts.rates.take(self._id or "no-key", amounts)
        self.budgets = taken.budgets
        if taken.refusal is not None:
            raise taken.refusal

    def record(self, model: str, requests: int, characters: int) -> None:
        """Record what was made."""
        self._accounts.usage.add(self._id, model, Amounts(requests, characters))

    def _limit(self, name: str) -> int:
        """Return a limit as it is now.  Raises Unauthorized if the key has been removed."""
        if self._key is not None:
            self._key = self._accounts.keys.get(self._id)
            if self._key is None:
                raise Unauthorized("The API key is no longer valid.", code="invalid_api_key")
        own = getattr(self._key.limits, name) if self._key else None
        limit: int = getattr(self._accounts.defaults, name) if own is None else own
        return limit


class Accounts:
    """Everything that is counted by key."""

    def __init__(self, settings: Settings, usage: UsageRecorder, workers: int = 1) -> None:
        """``workers``: of this server, which count streams, and rates without Redis, apart.

        Raises SettingsError if the file of the keys or the URL of Redis is wrong.
        """
        self.keys = Keyring(settings)
        self.rates = Rates(settings.limits_url, workers)
        self.usage = usage
        self.workers = workers
        self.defaults = KeyLimits(
            settings.requests_per_minute, settings.characters_per_minute, settings.streams_per_key
        )

    def of(self, key: ApiKey | None) -> Account:
        """Return the account of a key, or of those without one."""
        return Account(self, key)
