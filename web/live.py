"""New events as they come: one look at the log for all who wait."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
from graphql import GraphQLError

from hub.held import Lately
from hub.log import Log, Recorded

MOST, MOST_EACH, POLL, KEPT = 2_000, 100, 0.1, 5_000
BEYOND = (
    "The log has no position %(after)s: it ends at %(head)s. If you have heard of events after that, the hub was "
    "brought back from a backup without them: compare what you hold with it."
)
"""What is said to who asks for events after a position that the log does not have."""


_ANYBODY = "anybody"
_log = logging.getLogger("hub")


def _most(place: str) -> int:
    return MOST // 2 if place == _ANYBODY else MOST_EACH


class Closing(Exception):
    """The hub closes: whoever listens comes back, and has missed nothing."""


class Live:
    """Follows the log while somebody waits. Who falls behind reads the log itself, so nobody misses anything."""

    def __init__(self, log: Log, until: int | None = None) -> None:
        self._log, self._until = log, until
        self._recent = Lately(KEPT)
        self._head = 0
        self._waiting = 0
        self._by: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._over = False
        self._task: asyncio.Task[None] | None = None

    async def follow(
        self, after: int | None = None, who: str | None = None, address: str = ""
    ) -> AsyncIterator[Recorded]:
        """Every event after a position (or from now on); ``who`` listens, somebody unknown at an ``address`` if nobody.

        It ends with ``Closing``, never by itself: what is only interrupted is not to look complete. A place that the
        log does not have is refused: who waited there would hear nothing for long, and then miss some.
        """
        # Whoever has signed in finds a place, however many others listen; and so does anybody, however many one has.
        places = Counter([who] if who else [_ANYBODY, f"from {address}"])
        if self._waiting >= MOST or any(self._by[each] >= _most(each) for each in places):
            raise GraphQLError("Too many are listening: try again in a moment.", extensions={"code": "BUSY"})
        self._waiting += 1
        self._by += places
        try:
            head = await self._log.head() if self._until is None else self._until
            position = head if after is None else after
            if position < 0:
                raise GraphQLError("Positions of the log begin at 0.", extensions={"code": "BAD_INPUT"})
            if position > head:
                raise GraphQLError(BEYOND % {"after": after, "head": head}, extensions={"code": "AHEAD_OF_LOG"})
            if self._task is None or self._task.done():
                # Nothing is awaited from here to the task: who begins at the same time finds it, and there is one.
                self._head = head
                self._recent.clear()
                self._task = asyncio.create_task(self._watch())
            watching = self._task
            while not self._over and watching is not None and not watching.done():
                news = self._news
                for recorded in await self._since(position):
                    yield recorded
                    position = recorded.position
                if position >= self._head:
                    await news.wait()
            raise Closing
        finally:
            self._waiting -= 1
            self._by -= places

    def end(self) -> None:
        """Let everybody go who listens: the hub closes."""
        self._over = True
        self._news.set()

    async def _since(self, position: int) -> list[Recorded]:
        if self._recent.holds(position):
            return [each for each in self._recent if each.position > position]
        return await self._log.read(after=position) if position < self._head else []

    async def _watch(self) -> None:
        while self._waiting:
            try:
                new = await self._log.read(after=self._head)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                # The database is away: whoever listens hears the rest when it is back.
                await asyncio.sleep(1)
                continue
            except Exception:
                # An event of a newer version, say. Whoever listens is let go, and does not wait in vain.
                _log.exception("nobody hears of new events")
                break
            if new:
                self._recent.add(new)
                self._head = new[-1].position
                self._news.set()
                self._news = asyncio.Event()
            else:
                await asyncio.sleep(POLL)
        self._task = None
        self._news.set()
        self._news = asyncio.Event()
