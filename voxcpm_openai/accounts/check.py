"""The check of API keys and limits before a server starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxcpm_openai.accounts import keyring
from voxcpm_openai.accounts.key_file import read_keys
from voxcpm_openai.accounts.keys import ApiKey, KeyLimits
from voxcpm_openai.accounts.rates import RateLimiter, share
from voxcpm_openai.errors import StartError
from voxcpm_openai.settings import Settings


def check_accounts(settings: Settings, workers: int) -> tuple[list[str], list[str]]:
    """Return problems and warnings of the API keys and their limits."""
    problems: list[str] = []
    warnings: list[str] = []
    keys: Sequence[ApiKey] = ()
    if (path := settings.api_keys_file) is not None:
        try:
            keys = read_keys(path)
            warnings += keyring.warnings(path)
        except StartError as error:
            problems.append(str(error))
    try:
        if not RateLimiter(settings.limits_url).reaches_redis():
            warnings.append("Redis does not answer: until it does, each worker enforces its share.")
    except StartError as error:
        problems.append(str(error))
    if workers > 1:
        warnings += _divisions(settings, [key.limits for key in keys], workers)
    return problems, warnings


def _divisions(settings: Settings, own: Sequence[KeyLimits], workers: int) -> Iterator[str]:
    """Yield warnings about limits that are divided among the workers."""
    streams = [settings.streams_per_key, *(limits.streams for limits in own)]
    if any(streams):
        yield f"{workers} workers divide the concurrent streams of each key among them."
    if settings.limits_url:
        return
    requests = [settings.requests_per_minute, *(limits.requests_per_minute for limits in own)]
    characters = [settings.characters_per_minute, *(limits.characters_per_minute for limits in own)]
    if any(requests) or any(characters):
        yield (
            f"{workers} workers divide the requests and characters per minute of each key "
            "among them. To count them together, set VOXCPM_LIMITS_URL."
        )
    lowest = min(filter(None, characters), default=0)
    part = share(lowest, workers)
    if part < min(lowest, settings.max_input_chars):
        yield (
            f"a key with {lowest} characters per minute is refused a text of more than {part}, "
            f"its share on each of the {workers} workers. To count them together, set "
            "VOXCPM_LIMITS_URL."
        )
