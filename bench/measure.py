"""What the benches share: a server of their own, clients over HTTP, and tables whose ratios are of one run."""

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from hub.postgres import Embedded

ROUNDS = 5
# What was written without the hub is taken into the tree, and its rows into a seal, before others are measured.
_SETTLED = """SELECT (SELECT size FROM hub.tree) >= (SELECT max(position) FROM hub.event) AND (
    (SELECT max(position) FROM hub.event) < 10000
    OR (SELECT max(at) FROM hub.event WHERE type = 'ReadModelSealed') < now() - interval '15 s')"""


@contextlib.contextmanager
def server() -> Iterator[Embedded]:
    """An embedded PostgreSQL with fsync on, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    home.chmod(0o711)
    embedded = Embedded(home)
    embedded.own()
    embedded.start()
    try:
        yield embedded
    finally:
        embedded.stop()
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: Sequence[str], port: int, **env: str) -> Iterator[int]:
    """A program that serves on this port of loopback, ended afterwards; its process id."""
    with tempfile.TemporaryFile("w+") as said:
        running = subprocess.Popen(command, env={**os.environ, **env}, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                if running.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise SystemExit(f"{command[0]} did not start: {said.read()[-2_000:]}")
                time.sleep(0.1)
            yield running.pid
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
            running.kill()
            running.wait()


_HOMES: dict[str, tempfile.TemporaryDirectory[str]] = {}


@contextlib.contextmanager
def hub(dsn: str, *words: str, home: Path | None = None) -> Iterator[int]:
    """The port of ``hub serve`` over this database; its key and memory are in ``home``, or gone after the bench."""
    port = free_port()
    command = [sys.executable, "-m", "hub", "serve", "--port", str(port), *words]
    if home is None:
        # One database's hubs have one home: its log is sealed with the key that is there.
        home = Path(_HOMES.setdefault(dsn, tempfile.TemporaryDirectory(prefix="hub-bench-home-")).name)
    with process(command, port, HUB_DATABASE_URL=dsn, HUB_HOME=str(home), HUB_ORIGIN="bench.invalid/log"):
        yield port


async def settled(dsn: str) -> None:
    """Return when whoever seals the log has caught up with it, and nothing is left to vacuum."""
    db = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(900):
            while not await db.fetchval(_SETTLED):
                await asyncio.sleep(1)
        await db.execute("VACUUM ANALYZE")
        await db.execute("CHECKPOINT")
    finally:
        await db.close()


class Client:
    """One connection that is kept; the least that HTTP needs, so that the servers are measured and not the client."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer to a whole request."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while size := int(await self._reader.readline(), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readline()
            return status, head, body
        begin = lower.find(b"content-length:")
        length = int(lower[begin + 15 : lower.index(b"\r\n", begin)]) if begin >= 0 else 0
        return status, head, await self._reader.readexactly(length)


def post(path: str, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """A whole POST request."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def get(path: str, **headers: str) -> bytes:
    """A whole GET request."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()


async def load(clients: int, seconds: float, once: Callable[[int, int], Awaitable[object]]) -> list[float]:
    """The latencies of what so many clients did, one after another each, in these seconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(n: int) -> None:
        k = 0
        while (began := time.perf_counter()) < end:
            await once(n, k)
            latencies.append(time.perf_counter() - began)
            k += 1

    await asyncio.gather(*(client(n) for n in range(clients)))
    return latencies


async def requests(port: int, clients: int, seconds: float, request: Callable[[int, int], bytes]) -> list[float]:
    """The latencies of requests that so many clients sent; an answer that is no success ends the bench."""
    async with contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Client(port)) for _ in range(clients)]

        async def once(n: int, k: int) -> None:
            status, _, body = await connections[n].send(request(n, k))
            if status not in (200, 303) or b'"errors"' in body[:200]:
                raise SystemExit(f"a request failed with {status}: {body[:500]!r}")

        return await load(clients, seconds, once)


def p50(latencies: Sequence[float]) -> float:
    """The median, in milliseconds."""
    return statistics.median(latencies) * 1e3


def p99(latencies: Sequence[float]) -> float:
    """What one in a hundred exceeds, in milliseconds."""
    return statistics.quantiles(latencies, n=100)[98] * 1e3 if len(latencies) > 1 else p50(latencies)


def shown(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(each if isinstance(each, str) else f"{each:,.2f}" for each in row))
    Console(width=110).print(table)
