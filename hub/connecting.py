"""Connections to a database that end by themselves where nobody answers at their other end."""

import asyncio
import socket
from functools import partial
from typing import Any

import asyncpg

UNHEARD = 30
"""Seconds after which a connection is given up over which nothing comes: a server without power, or a firewall that has
forgotten it, says nothing, and whoever waited would wait for ever.
"""
_OPTIONS = {
    "SO_KEEPALIVE": 1,
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": UNHEARD * 1_000,
}


class Connection(asyncpg.Connection):
    """One of asyncpg's, whose silence is noticed."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *given: Any) -> None:
        super().__init__(protocol, transport, *given)
        own = transport.get_extra_info("socket")
        if own is not None and own.family in (socket.AF_INET, socket.AF_INET6):
            for name, value in _OPTIONS.items():
                # Each system has its own of these.
                if hasattr(socket, name):
                    level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
                    own.setsockopt(level, getattr(socket, name), value)


connect = partial(asyncpg.connect, connection_class=Connection)
"""``asyncpg.connect``, for such a connection."""
