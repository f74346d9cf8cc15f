"""``/v1/organization/usage/audio_speeches``: the usage of API keys, in OpenAI's shape."""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from flask import Blueprint, request

from voxcpm_openai.accounts.usage_store import HOUR, STORE_ERRORS, Amounts, Slot
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import InvalidRequest, UsageUnreadable
from voxcpm_openai.principal import Role
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_account, current_principal
from voxcpm_openai.web.openapi.operation import operation
from voxcpm_openai.web.queries import UsageSchema
from voxcpm_openai.web.schemas import load

logger = logging.getLogger(__name__)

blueprint = Blueprint("usage", __name__)

WIDTHS = {"1d": (24 * HOUR, 7, 31), "1h": (HOUR, 24, 168)}
"""Bucket widths: seconds, and the default and the largest number of buckets per page."""
ABSENT = ("project_ids", "user_ids")
"""Filters by ids that this server does not have."""
LISTS = ("group_by", "api_key_ids", "models", *ABSENT)
PAGE = re.compile(r"page_([0-9]{1,12})")
KEY_PREFIX = "key_"


@dataclass(frozen=True, slots=True)
class Query:
    """A validated query.  Times are Unix seconds, in whole buckets.  None: no filter."""

    start: int
    end: int
    width: int
    limit: int
    groups: frozenset[str]
    keys: frozenset[str] | None
    models: frozenset[str] | None


class UsageResult(TypedDict):
    """What was spoken in a bucket, of a key or a model if the results are grouped by it."""

    object: Literal["organization.usage.audio_speeches.result"]
    characters: int
    num_model_requests: int
    project_id: None
    user_id: None
    api_key_id: str | None
    api_key_name: str | None
    model: str | None


class UsageBucket(TypedDict):
    """A day or an hour; times are Unix seconds."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[UsageResult]


class UsagePage(TypedDict):
    """A page of the usage."""

    object: Literal["page"]
    data: list[UsageBucket]
    has_more: bool
    next_page: str | None


@blueprint.get("/v1/organization/usage/audio_speeches")
@operation(query=UsageSchema)
def get_usage() -> UsagePage:
    """List requests and characters by day or hour: of the caller's key; for the operator, of all.

    Raises InvalidRequest, UsageUnreadable.
    """
    ctx = current_context()
    query = _query(ctx)
    ctx.accounts.usage.flush()
    last = min(query.end, query.start + query.limit * query.width)
    try:
        rows = ctx.usage.read(query.start, last)
    except STORE_ERRORS as error:
        logger.error("usage cannot be read: %s", error)  # noqa: TRY400
        raise UsageUnreadable("Usage cannot be read at present.", retry_after=5) from error
    buckets: dict[int, list[tuple[Slot, Amounts]]] = defaultdict(list)
    for slot, amounts in rows:
        if _is_wanted(slot, query):
            buckets[slot.hour // query.width * query.width].append((slot, amounts))
    has_more = last < query.end
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": start,
                "end_time": start + query.width,
                "results": _results(ctx, buckets.get(start, []), query.groups),
            }
            for start in range(query.start, last, query.width)
        ],
        "has_more": has_more,
        "next_page": f"page_{last}" if has_more else None,
    }


def _query(ctx: AppContext) -> Query:
    given: dict[str, Any] = request.args.to_dict()
    for name in LISTS:  # the SDK sends "models[]", others repeat "models"
        values = request.args.getlist(f"{name}[]") + request.args.getlist(name)
        given.pop(f"{name}[]", None)
        if values:
            given[name] = values
    asked = load(UsageSchema(), given, strict=ctx.settings.strict)
    if absent := [name for name in ABSENT if name in asked]:
        raise InvalidRequest(f"'{absent[0]}': this server has no such ids.", param=absent[0])
    width_name = asked["bucket_width"]
    width, default, most = WIDTHS[width_name]
    limit = asked.get("limit", default)
    if not 1 <= limit <= most:
        raise InvalidRequest(
            f"'limit' must be from 1 to {most} for a 'bucket_width' of '{width_name}'.",
            param="limit",
        )
    start, end = asked["start_time"], asked.get("end_time", int(time.time()) + 1)
    if end <= start:
        raise InvalidRequest("'end_time' must be after 'start_time'.", param="end_time")
    first = start // width * width
    models = asked.get("models")
    return Query(
        start=max(first, _page(asked.get("page"), first, width)),
        end=-(-end // width) * width,
        width=width,
        limit=limit,
        groups=frozenset(asked.get("group_by", [])),
        keys=_keys(ctx, asked.get("api_key_ids")),
        models=None if models is None else frozenset(models),
    )


def _page(page: str | None, first: int, width: int) -> int:
    if page is None:
        return first
    match = PAGE.fullmatch(page)
    if match is None or (start := int(match[1])) % width or start < first:
        raise InvalidRequest("'page' must be the 'next_page' of the page before.", param="page")
    return start


def _keys(ctx: AppContext, named: Sequence[str] | None) -> frozenset[str] | None:
    """Return the ids of the requested keys that the caller may see; None for all.

    The operator may also give names of keys.
    """
    is_operator = current_principal().role is Role.OPERATOR
    own = None if is_operator else frozenset({current_account().key_id or ""})
    if named is None:
        return own
    by_name = ctx.accounts.keys.named
    wanted = {
        key.id if is_operator and (key := by_name(name)) else name.removeprefix(KEY_PREFIX)
        for name in named
    }
    return frozenset(wanted if own is None else own & wanted)


def _is_wanted(slot: Slot, query: Query) -> bool:
    of_key = query.keys is None or slot.key in query.keys
    return of_key and (query.models is None or slot.model in query.models)


def _results(
    ctx: AppContext, rows: Sequence[tuple[Slot, Amounts]], groups: frozenset[str]
) -> list[UsageResult]:
    sums: dict[tuple[str | None, str | None], Amounts] = defaultdict(Amounts)
    for slot, amounts in rows:
        key = slot.key if "api_key_id" in groups else None
        sums[key, slot.model if "model" in groups else None] += amounts
    return [
        {
            "object": "organization.usage.audio_speeches.result",
            "characters": amounts.characters,
            "num_model_requests": amounts.requests,
            "project_id": None,
            "user_id": None,
            "api_key_id": f"{KEY_PREFIX}{key}" if key else None,
            "api_key_name": found.name if key and (found := ctx.accounts.keys.get(key)) else None,
            "model": model,
        }
        for (key, model), amounts in sums.items()
    ]
