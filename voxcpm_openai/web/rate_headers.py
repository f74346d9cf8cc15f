"""OpenAI's ``x-ratelimit-*`` headers."""

from __future__ import annotations

import math

from flask import Flask, Response, g

from voxcpm_openai.accounts.account import CHARACTERS, REQUESTS, Account

NAMES = {REQUESTS: "requests", CHARACTERS: "tokens"}
"""OpenAI's names; a token is a character here."""
RATE_HEADERS = tuple(
    f"x-ratelimit-{part}-{name}"
    for name in NAMES.values()
    for part in ("limit", "remaining", "reset")
)


def init_app(app: Flask) -> None:
    """Add the headers to the response of each request that was charged."""
    app.after_request(add)


def add(response: Response) -> Response:
    """Add the headers, if the key has limits and the request was charged."""
    account: Account | None = g.get("account")
    for unit, budget in (account.budgets if account else {}).items():
        values = (budget.limit, budget.remaining, duration(budget.reset))
        for part, value in zip(("limit", "remaining", "reset"), values, strict=True):
            response.headers[f"x-ratelimit-{part}-{NAMES[unit]}"] = str(value)
    return response


def duration(seconds: float) -> str:
    """Return a duration as OpenAI writes it: ``2ms``, ``1.5s``, ``6m0s``."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
