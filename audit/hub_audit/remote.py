"""A log behind an address: no answer may be larger, or take longer, than one of a log can."""

import contextlib
import http.client
import socket
import threading
import time
import zlib
from urllib.parse import quote, urlsplit

from hub_audit.outcome import Undecided, Unusable, quoted
from hub_audit.tree import WIDTH

TRIES, PATIENCE, SLOWEST = 4, 30, 120
"""Tries of a request; seconds for a part of an answer, and for all of it."""
LARGEST = WIDTH * 65_537


class Remote:
    """A log behind an address; keeps its connections, one to a thread."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises ``Unusable`` where the address or the token is none."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
            host.encode("idna")
            if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
                raise ValueError(url)
        except ValueError:
            raise Unusable(f"“{url}” is no address of a log: https://HOST/log is asked for.") from None
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise Unusable("The token is none: it has only visible ASCII characters.")
        self.url, self._kind = url.rstrip("/"), parts.scheme
        self._host, self._port = host, port
        self._prefix, self._token = quote(parts.path.rstrip("/"), safe="/%~"), token
        self._local = threading.local()

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "http"):
            kind = http.client.HTTPSConnection if self._kind == "https" else http.client.HTTPConnection
            self._local.http = kind(self._host, self._port, timeout=PATIENCE)
        return self._local.http

    def get(self, name: str) -> bytes | None:
        """A file of the log; ``None`` where there is none. Raises ``Undecided``, ``Unusable``."""
        headers = {"Accept-Encoding": "gzip, identity", "User-Agent": "hub-audit"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        complaint = ""
        for n in range(TRIES):
            if n:
                time.sleep(0.5 * n)
            connection = self._connection()
            try:
                with _InTime(connection) as limit:
                    limit.connect()
                    connection.request("GET", f"{self._prefix}/{name}", headers=headers)
                    answer = connection.getresponse()
                    body = _read(answer)
                if limit.is_over:
                    raise ValueError("it is cut off where its time was over")
            except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
                connection.close()
                if limit.is_over:
                    raise Undecided(f"{self.url} was not done with {name} within {SLOWEST} seconds.") from None
                complaint = _complaint(error)
                continue
            if answer.status == 200:
                return body
            if answer.status == 404:
                return None
            said = quoted(body, 200)
            if answer.status in (401, 403):
                raise Unusable(f"{self.url} answers {answer.status} to {name}: {said}")
            complaint = f"{answer.status} {said}"
            connection.close()
        raise Undecided(f"{self.url} cannot be asked for {name}: {complaint}")


class _InTime:
    # However little of an answer comes, and however often: once the time for all of it is over, its connection ends.

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._socket: socket.socket | None = None
        self.is_over = False
        self._timer = threading.Timer(SLOWEST, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_InTime":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def connect(self) -> None:
        # An answer that is the last takes the socket away from its connection.
        if self._connection.sock is None:
            self._connection.connect()
        self._socket = self._connection.sock

    def _end(self) -> None:
        self.is_over = True
        if (held := self._socket or self._connection.sock) is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


def _complaint(error: Exception) -> str:
    if isinstance(error, zlib.error):
        return "its answer cannot be unpacked"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer is cut short"
    return quoted(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)


def _read(answer: http.client.HTTPResponse) -> bytes:
    # Neither endless, nor for ever, nor a little that unpacks to all of the memory.
    packed = answer.headers.get("Content-Encoding") == "gzip"
    unpack = zlib.decompressobj(31) if packed else None
    body = bytearray()
    while chunk := answer.read1(65_536):
        body += unpack.decompress(chunk, LARGEST + 1 - len(body)) if unpack else chunk
        if len(body) > LARGEST:
            raise ValueError("the answer is larger than a file of a log can be")
    if (unpack and not unpack.eof) or answer.length:
        raise ValueError("its answer is cut short")
    answer.read()  # nothing is left: this frees the connection for the next request
    return bytes(body)
