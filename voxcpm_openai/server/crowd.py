"""The connections of a worker as a whole: how many an address has, and which may be closed."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection
from typing import Any

from voxcpm_openai.server.connection import Connection, State
from voxcpm_openai.settings import Settings


class Crowd:
    """Bounds on connections."""

    def __init__(self, cfg: Any, settings: Settings) -> None:
        """``cfg``: gunicorn's."""
        self._per_address = settings.max_connections_per_address
        self._trusted = frozenset(cfg.forwarded_allow_ips)
        self.head_limit = (
            cfg.limit_request_line
            + cfg.limit_request_fields * (cfg.limit_request_field_size + 2)
            + 4
        )
        """The longest head that gunicorn's parser takes, in bytes."""

    def is_too_many(self, conn: Connection, all_: Collection[Connection]) -> bool:
        """Return whether the address of a new connection has more than it may have."""
        if not self._per_address or self._is_exempt(conn.client):
            return False
        counts = Counter(one.client[0] for one in all_ if one.client)
        return counts[conn.client[0]] > self._per_address

    def longest_waiting(self, all_: Collection[Connection]) -> Connection | None:
        """Return what is best closed to make room: a silent connection before one that sends."""
        waiting = (conn for conn in all_ if conn.state is State.RECEIVING)
        return min(waiting, key=lambda conn: (not conn.idle, conn.since), default=None)

    def _is_exempt(self, address: Any) -> bool:
        """Return whether an address is this machine or a trusted proxy; a UNIX socket has none."""
        if not isinstance(address, tuple):
            return True
        host = str(address[0])
        if "*" in self._trusted or host in self._trusted:
            return True
        return ipaddress.ip_address(host).is_loopback
