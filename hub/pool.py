"""Connections to a database: asyncpg's pool, but that one which has answered is at hand for the next statement."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

REST = 60.0
"""A connection that nobody asked for so long, in seconds, may have been cut off on its way: it is not asked again."""

GRACE = 1.0
"""Seconds that a server has to give up a statement."""
_IN_VAIN = "no connection was free"


def waited_in_vain(error: BaseException) -> bool:
    """Whether what took too long had no connection yet: not what was asked was too much, but how many asked."""
    return any(each is not None and each.args == (_IN_VAIN,) for each in (error, error.__cause__, error.__context__))


class Pool:
    """As asyncpg's, which makes a task, a proxy and a timer whenever a connection is given back.

    Three quarters of its connections stay with whoever asks single statements; the others are always given back.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._idle: list[tuple[PoolConnectionProxy, float]] = []
        self._held, self._most = 0, max(1, pool.get_max_size() * 3 // 4)
        self._waiting: deque[asyncio.Future[PoolConnectionProxy | None]] = deque()
        self._closing = False
        self.acquire, self.get_size = pool.acquire, pool.get_size

    async def fetch(self, sql: str, *given: object, timeout: float | None = None) -> list[asyncpg.Record]:
        """The rows of a statement."""
        return cast(list[asyncpg.Record], await self._asked(PoolConnectionProxy.fetch, sql, given, timeout))

    async def fetchrow(self, sql: str, *given: object, timeout: float | None = None) -> asyncpg.Record | None:
        """Its first row."""
        return cast(asyncpg.Record | None, await self._asked(PoolConnectionProxy.fetchrow, sql, given, timeout))

    async def fetchval(self, sql: str, *given: object, timeout: float | None = None) -> Any:
        """The first value of its first row."""
        row = await self.fetchrow(sql, *given, timeout=timeout)
        return row[0] if row is not None else None

    async def execute(self, sql: str, *given: object, timeout: float | None = None) -> str:
        """What the server says of a statement."""
        return cast(str, await self._asked(PoolConnectionProxy.execute, sql, given, timeout))

    async def _asked(
        self, ask: Callable[..., Awaitable[object]], sql: str, given: tuple[object, ...], timeout: float | None
    ) -> object:
        began = time.monotonic()
        db = self._at_hand() or await self._next(timeout)
        try:
            answer = await ask(db, sql, *given, timeout=timeout and max(timeout - (time.monotonic() - began), 0.01))
        except BaseException:
            # Whatever state it is in, asyncpg knows how to mend or end it.
            await self._let_go(db)
            raise
        if self._closing:
            await self._let_go(db)
        else:
            self._give(db)
        return answer

    def _at_hand(self) -> PoolConnectionProxy | None:
        while self._idle:
            db, since = self._idle.pop()
            if _is_open(db) and since > time.monotonic() - REST:
                return db
            # asyncpg takes it back as soon as it is closed.
            with contextlib.suppress(asyncpg.InterfaceError):
                db.terminate()
            self._held -= 1
        return None

    async def _next(self, timeout: float | None) -> PoolConnectionProxy:
        if self._held < self._most:
            self._held += 1
        elif (db := await self._given(timeout)) is not None:
            return db
        try:
            return cast(PoolConnectionProxy, await self._pool.acquire(timeout=timeout))
        except BaseException:
            self._left()
            raise

    async def _given(self, timeout: float | None) -> PoolConnectionProxy | None:
        # Each answers somebody: the first that is through, or its place where it was given up.
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[PoolConnectionProxy | None] = loop.create_future()
        self._waiting.append(waiting)
        ending = loop.call_later(timeout, _in_vain, waiting) if timeout else None
        try:
            return await waiting
        except asyncio.CancelledError as given_up:
            given_up.args = (_IN_VAIN,)
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                db = waiting.result()
                self._give(db) if db is not None else self._left()
            raise
        finally:
            if ending is not None:
                ending.cancel()

    def _give(self, db: PoolConnectionProxy) -> None:
        if not self._passed_on(db):
            self._idle.append((db, time.monotonic()))

    def _left(self) -> None:
        if not self._passed_on(None):
            self._held -= 1

    def _passed_on(self, what: PoolConnectionProxy | None) -> bool:
        while self._waiting:
            if not (waiting := self._waiting.popleft()).done():
                waiting.set_result(what)
                return True
        return False

    async def _let_go(self, db: PoolConnectionProxy) -> None:
        # One that does not even answer that it was told to give up is ended.
        try:
            with contextlib.suppress(Exception):
                await self._pool.release(db, timeout=GRACE)
        finally:
            self._left()

    async def close(self, patience: float) -> None:
        """Give the connections back; one still in use after so many seconds is cut off: what reads loses nothing."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._idle:
                    await self._let_go(self._idle.pop()[0])
                await self._pool.close()


def _in_vain(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError(_IN_VAIN))


def _is_open(db: PoolConnectionProxy) -> bool:
    try:
        return not db.is_closed()
    except asyncpg.InterfaceError:
        return False
