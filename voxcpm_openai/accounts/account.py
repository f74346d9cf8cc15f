"""The account of one caller: the limits of its key, and its usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from voxcpm_openai.accounts.keyring import Keyring
from voxcpm_openai.accounts.keys import ApiKey, Limits
from voxcpm_openai.accounts.rates import Amount, Budget, RateLimiter, share
from voxcpm_openai.accounts.usage import UsageRecorder
from voxcpm_openai.accounts.usage_store import Amounts
from voxcpm_openai.errors import Unauthorized
from voxcpm_openai.limits import UNLIMITED, Holder
from voxcpm_openai.settings import Settings

REQUESTS, CHARACTERS = "requests", "characters"


class UsageAccount(Protocol):
    """The account that speech is charged to and recorded for."""

    @property
    def holder(self) -> Holder:
        """The holder of its concurrent streams."""

    def charge(self, requests: int, characters: int) -> None:
        """Consume requests and characters.  Raises RateLimited, Unauthorized."""

    def record(self, model: str, requests: int, characters: int) -> None:
        """Record requests and characters as usage."""


class NullAccount:
    """An account without limits whose usage is not recorded."""

    holder = UNLIMITED

    def charge(self, requests: int, characters: int) -> None:
        """Do nothing."""

    def record(self, model: str, requests: int, characters: int) -> None:
        """Do nothing."""


class Account:
    """The limits and the usage of one key.  All clients without a key share one account."""

    def __init__(self, accounts: Accounts, key: ApiKey | None) -> None:
        self.budgets: Mapping[str, Budget] = {}
        """What the last charge left of each limit, by "requests" and "characters"."""
        self.key_id = key.id if key else None
        """The id of the key, or None without one."""
        self.key_name = key.name if key else ""
        """The name of the key, or "" without one."""
        self._accounts = accounts

    @property
    def holder(self) -> Holder:
        """The holder of its streams, with the share of this worker.  Raises Unauthorized."""
        return Holder(self.key_id or "", share(self._limits().streams, self._accounts.workers))

    def charge(self, requests: int, characters: int) -> None:
        """Consume requests and characters of the limits per minute.

        Raises RateLimited; Unauthorized if the key has been removed meanwhile.
        """
        limits = self._limits()
        amounts = (
            Amount(REQUESTS, requests, limits.requests_per_minute),
            Amount(CHARACTERS, characters, limits.characters_per_minute),
        )
        decision = self._accounts.rates.consume(self.key_id or "no-key", amounts)
        self.budgets = decision.budgets
        if decision.refusal is not None:
            raise decision.refusal

    def record(self, model: str, requests: int, characters: int) -> None:
        """Record requests and characters as usage of a model."""
        self._accounts.usage.add(self.key_id or "", model, Amounts(requests, characters))

    def _limits(self) -> Limits:
        """Return the current limits.  Raises Unauthorized if the key has been removed."""
        accounts = self._accounts
        if self.key_id is None:
            return accounts.defaults
        if (key := accounts.keys.get(self.key_id)) is None:
            raise Unauthorized("The API key is no longer valid.", code="invalid_api_key")
        return key.limits.resolve(accounts.defaults)


class Accounts:
    """The keys, their limits and their usage."""

    def __init__(self, settings: Settings, usage: UsageRecorder, workers: int = 1) -> None:
        """``workers``: of this server; each counts streams by itself, and without Redis also rates.

        Raises SettingsError if the file of the keys or the URL of Redis is invalid.
        """
        self.keys = Keyring(settings)
        self.rates = RateLimiter(settings.limits_url, workers)
        self.usage = usage
        self.workers = workers
        self.defaults = Limits(
            settings.requests_per_minute, settings.characters_per_minute, settings.streams_per_key
        )

    def of(self, key: ApiKey | None) -> Account:
        """Return the account of a key, or of clients without one."""
        return Account(self, key)
