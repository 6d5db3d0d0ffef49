"""Asking others over HTTP: witnesses, a hub to be mirrored, an institution."""

import logging

import httpx2

_HERE = ("localhost", "127.0.0.1", "[::1]")
_log = logging.getLogger("hub")


def client(seconds: float) -> httpx2.AsyncClient:
    """Asks through the proxy that the environment names, but what is on this machine; gives up after ``seconds``."""
    try:
        return httpx2.AsyncClient(timeout=seconds, mounts={f"all://{host}": None for host in _HERE})
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # A proxy that cannot be asked must not keep anybody from those who are reached without it.
        _log.warning("others are asked without the proxy that the environment names: %s", str(error).partition(". ")[0])
        return httpx2.AsyncClient(timeout=seconds, trust_env=False)
