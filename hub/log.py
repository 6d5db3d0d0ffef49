"""The event log: one table that only ever grows, read by tag and type, followed by position."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import msgspec

from domain.core import Codec, Event
from hub import confirming
from hub.connecting import Connection, connect
from hub.locks import Lock
from hub.pool import Pool

WRITER = "hub_writer"


class Happened(msgspec.Struct, frozen=True):
    """An event as far as read models depend on it."""

    position: int
    actor: str
    at: datetime
    event: Event


class Recorded(msgspec.Struct, frozen=True):
    """An event as the log holds it; ``data`` are its exact bytes."""

    position: int
    type: str
    tags: tuple[str, ...]
    actor: str
    at: datetime
    request: str
    data: str
    event: Event


# Given at the start of a session, so that no reset takes them back. One wrong letter of eight, or two letters
# exchanged, leave a word alike by 0.38. A page read at random costs about as much as one in order, on disks of today;
# and compiling a query takes longer than any of ours.
_SETTINGS = {
    "timezone": "UTC",
    "statement_timeout": "30s",
    "pg_trgm.word_similarity_threshold": "0.37",
    "random_page_cost": "1.1",
    "jit": "off",
}
# A page's statement leaves out what is known to be empty, so there are several of each: planned ones are kept.
_STATEMENTS = 200
# What has to be there, in this order, and where it is made from.
_TABLES = {
    "hub.event": "schema.sql",
    "hub.tile": "audit/schema.sql",
    "hub.passkey": "identity.sql",
    "hub.mailing": "mailing.sql",
    "hub.unmailed": "unmailed.sql",
    "hub.epoch": "epoch.sql",
    "hub.answer_by_key": "answers.sql",
    "hub.restored": "restored.sql",
}
PATIENCE = 5.0
"""How long, in seconds, whatever is still under way may take when the hub closes."""
AT_ONCE = 1_000
"""So many events are read at once, unless more are asked for."""
_COLUMNS = "position, type, tags, actor, at, request, data::text"


class Log:
    """Reads the log, and holds the connections to its database.

    ``pool`` is for whatever is found by an index whoever asks: its statements are planned once. What is asked through
    ``counting`` is planned for the values that it is given, for statements over many rows: how many of them a viewer
    may read is nothing that a plan for every viewer could know. What is written beside the log is ``writing``: it may
    have to wait for a standby, and nobody who reads waits behind it.
    """

    def __init__(self, pool: Pool, counting: Pool, writing: Pool, dsn: str) -> None:
        self.pool, self.counting, self.writing, self.dsn = pool, counting, writing, dsn
        self.codec = Codec()

    @classmethod
    async def open(cls, dsn: str, size: int = 8) -> "Log":
        """Connect, and make the log's tables where there are none yet."""
        await prepare(dsn)

        async def connect(least: int, most: int, **settings: str) -> Pool:
            given = {**_SETTINGS, **settings}
            pool = await asyncpg.create_pool(
                dsn,
                min_size=least,
                max_size=most,
                init=_reader,
                reset=_settled,
                connection_class=_Connection,
                server_settings=given,
                statement_cache_size=_STATEMENTS,
                command_timeout=confirming.CONFIRMED,
            )
            return Pool(pool)

        counting = await connect(0, size // 2, plan_cache_mode="force_custom_plan")
        writing = await connect(0, size // 2)
        return cls(await connect(1, size, plan_cache_mode="force_generic_plan"), counting, writing, dsn)

    async def close(self) -> None:
        """Give the connections back."""
        await self.writing.close(PATIENCE)
        await self.counting.close(PATIENCE)
        await self.pool.close(PATIENCE)

    def recorded(self, row: asyncpg.Record) -> Recorded:
        """A row of the log with its event decoded."""
        position, type, tags, actor, at, request, data = row
        return Recorded(position, type, tuple(tags.split()), actor, at, request, data, self.codec.decode(type, data))

    async def head(self) -> int:
        """The newest position; 0 where the log is empty."""
        return await self.pool.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")

    async def read(
        self,
        after: int = 0,
        tag: str | None = None,
        types: Iterable[str] | None = None,
        limit: int = AT_ONCE,
        db: asyncpg.Connection | None = None,
    ) -> list[Recorded]:
        """The next events after a position, in order: at most ``limit``, with this tag, of these types; over ``db``,
        where nobody may be waited for.
        """
        on, names = db or self.pool, None if types is None else sorted(types)
        if tag is None:
            sql = f"""SELECT {_COLUMNS} FROM hub.event
                      WHERE position > $1 AND ($2::text[] IS NULL OR type = ANY($2)) ORDER BY position LIMIT $3"""
            rows = await on.fetch(sql, after, names, limit)
        else:
            sql = f"""SELECT {_COLUMNS} FROM hub.event WHERE position IN (
                          SELECT position FROM hub.tag
                          WHERE tag = $4 AND position > $1 AND ($2::text[] IS NULL OR type = ANY($2))
                          ORDER BY position LIMIT $3) ORDER BY position"""
            rows = await on.fetch(sql, after, names, limit, tag)
        return [self.recorded(row) for row in rows]

    async def history(self, tag: str, types: Iterable[str], after: int = 0) -> AsyncIterator[Recorded]:
        """Every event with this tag and of these types, in order, however many there are; they end with the log."""
        while chunk := await self.read(after, tag, types):
            for recorded in chunk:
                yield recorded
            after = chunk[-1].position

    async def happened(self, after: int, limit: int) -> list[Happened]:
        """The next events after a position, in order, for a replay."""
        sql = "SELECT position, actor, at, type, data FROM hub.event WHERE position > $1 ORDER BY position LIMIT $2"
        rows = await self.pool.fetch(sql, after, limit)
        decode = self.codec.decode
        return [Happened(position, actor, at, decode(type, data)) for position, actor, at, type, data in rows]

    async def follow(self, after: int = 0, poll: float = 0.5) -> AsyncIterator[Recorded]:
        """Every event after a position, for ever, as they come; nothing is missed and nothing comes twice."""
        while True:
            batch = await self.read(after)
            for recorded in batch:
                yield recorded
                after = recorded.position
            if not batch:
                await asyncio.sleep(poll)


async def as_writer(db: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> None:
    """Give up every right but those of the hub's own role: the log can only grow."""
    await db.execute(f"SET ROLE {WRITER}; SET timezone = 'UTC'; SET client_min_messages = warning")


async def _reader(db: asyncpg.Connection) -> None:
    # Finished JSON goes from the server to the socket as it is: nothing here decodes it.
    await db.set_type_codec("json", encoder=str.encode, decoder=bytes, schema="pg_catalog", format="binary")
    await as_writer(db)


class _Connection(Connection):
    """A connection that knows whether what was asked last may not have been sent whole.

    A value that cannot be encoded is found after its statement was parsed: the server then waits for the rest, in a
    transaction whose time stands still and whose statement times out, in the middle of what is asked next.
    """

    torn = False

    async def _execute(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._execute(*args, **options)  # type: ignore[misc]
        except BaseException:
            self.torn = True
            raise


async def _settled(db: Any) -> None:
    # Nobody who borrows a connection changes its session, so there is nothing else to reset: a round trip less a query.
    if db.torn:
        await db.execute("SELECT")
        db.torn = False


async def prepare(dsn: str) -> None:
    """Make the log's tables, once, whoever comes first."""
    db = await connect(dsn)
    try:
        missing = "SELECT bool_or(to_regclass(each) IS NULL) FROM unnest($1::text[]) each"
        if not await db.fetchval(missing, [*_TABLES]):
            # Whoever only looks does not wait behind a commit that waits for a standby.
            return
        async with db.transaction():
            await db.execute(f"SELECT pg_advisory_xact_lock({Lock.APPEND})")
            for table, file in _TABLES.items():
                if await db.fetchval("SELECT to_regclass($1) IS NULL", table):
                    await prepare_role(db)
                    await db.execute((Path(__file__).parent / file).read_text())
    finally:
        await db.close()


async def prepare_role(db: asyncpg.Connection) -> None:
    """Make the role as which the hub writes, let the user who connects become it, and make the extension it needs."""
    await db.execute((Path(__file__).parent / "role.sql").read_text())


async def is_there(dsn: str) -> bool:
    """Whether there is a hub in this database."""
    try:
        db = await connect(dsn)
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        return bool(await db.fetchval("SELECT to_regclass('hub.event') IS NOT NULL"))
    finally:
        await db.close()


def keys_of(dsn: str) -> str:
    """The address of the keys' own database, beside the log's."""
    url, question, options = dsn.partition("?")
    return f"{url}_keys{question}{options}"


async def make_databases(dsn: str) -> tuple[str, str]:
    """The addresses of the log's database and of the keys' own, both made where they are missing."""
    url, _, options = dsn.partition("?")
    base, _, name = url.rpartition("/")
    tail = f"?{options}" if options else ""
    keys = keys_of(dsn)
    missing = [unquote(name), f"{unquote(name)}_keys"]
    try:
        db = await connect(dsn)
    except asyncpg.InvalidCatalogNameError:
        pass
    else:
        there = await db.fetch("SELECT datname::text FROM pg_database WHERE datname = ANY($1)", missing)
        missing = [each for each in missing if each not in {row[0] for row in there}]
        await db.close()
    if missing:
        admin = await connect(f"{base}/postgres{tail}")
        try:
            for each in missing:
                called = each.replace('"', '""')
                with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                    await admin.execute(f'CREATE DATABASE "{called}"')
        finally:
            await admin.close()
    return dsn, keys
