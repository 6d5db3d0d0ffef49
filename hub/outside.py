"""Asking others over HTTP: witnesses, a hub to be mirrored, an institution."""

import logging
from functools import lru_cache
from typing import Any
from urllib.request import getproxies

import httpx2

_HERE = ("localhost", "127.0.0.1", "[::1]")
_log = logging.getLogger("hub")


def ways() -> dict[str, Any]:
    """How a client is made that asks through the proxy that the environment names, but not what is on this machine."""
    return dict(_ways(frozenset(getproxies().items())))


@lru_cache(8)
def _ways(_: frozenset[tuple[str, str]]) -> dict[str, Any]:
    # Once for the proxies that the environment names now: to find out makes a whole client.
    made: dict[str, Any] = {"mounts": {f"all://{host}": None for host in _HERE}}
    try:
        httpx2.AsyncClient(**made)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # A proxy that cannot be asked must not keep anybody from those who are reached without it.
        _log.warning("others are asked without the proxy that the environment names: %s", str(error).partition(". ")[0])
        return {"trust_env": False, "verify": httpx2.create_ssl_context(trust_env=True)}
    return made


def client(seconds: float) -> httpx2.AsyncClient:
    """A client that is made so, and gives up after so many seconds."""
    return httpx2.AsyncClient(timeout=seconds, **ways())
