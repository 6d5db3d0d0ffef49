"""The engine of the read models: replay, what is in memory, and verification."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
import msgspec

from hub.batch import ABSENT, ENCODER, Batch, RowKey, keys_of
from hub.connecting import connect
from hub.held import Held
from hub.locks import Lock
from hub.log import WRITER, Happened, Log, Recorded
from hub.tables import TABLES, ddl, digest, first_difference, indexes
from projections import history
from projections.core import Row

CHUNK = 10_000
"""How many events are folded at once in a replay."""
LARGE = 1_000
"""From how many events on they are folded beside the event loop, not on it."""
_astuple = msgspec.structs.astuple
_INDEXED = r"SELECT EXISTS (SELECT FROM pg_indexes WHERE schemaname = $1 AND indexname LIKE '%\_by\_%')"


@contextmanager
def _replaying() -> Iterator[None]:
    # Folding makes no reference cycles: looking for them among a hundred thousand rows takes a fifth of the time.
    # And what is read and written meanwhile is many small steps, each of which would wait for the folding thread.
    on, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if on:
            gc.enable()


class Models:
    """The read models of this code in one schema, and the rows that were used last in memory.

    With ``until`` they are as they were at that position of the log, in a schema of their own.
    """

    def __init__(self, log: Log, schema: str | None = None, until: int | None = None) -> None:
        self.log, self.until = log, until
        self.schema = schema or digest() + (f"_at_{until}" if until is not None else "")
        self._rows: Held[RowKey, Row | None] = Held()
        self._parked: set[RowKey] = set()

    async def open(self, say: Callable[[int], None] = lambda _: None) -> None:
        """Make the schema where it is missing, and bring it up to the head by replay."""
        db = await connect(self.log.dsn)
        try:
            async with db.transaction():
                await db.execute(f"SELECT pg_advisory_xact_lock({Lock.MODELS})")
                if not await db.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", self.schema):
                    await db.execute(ddl(self.schema))
            replayed = await self.bring_up(db, say)
            async with db.transaction():
                await db.execute(f"SELECT pg_advisory_xact_lock({Lock.MODELS})")
                # Made together, so one of them tells of all; who only looks writes nothing, and waits for no standby.
                if not await db.fetchval(_INDEXED, self.schema):
                    await db.execute(";".join(indexes(self.schema)))
            if replayed > LARGE:
                # The planner knows nothing of what was just written, and an index alone answers only what was vacuumed.
                for table in TABLES:
                    await db.execute(f'VACUUM (ANALYZE) {self.schema}."{table}"')
        finally:
            await db.close()

    async def remove(self) -> None:
        """Drop these read models: a replay makes them again."""
        db = await connect(self.log.dsn)
        try:
            await db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        finally:
            await db.close()

    async def remove_others(self) -> None:
        """Drop the read models of other versions of the code; while one of them still serves, it fails."""
        db = await connect(self.log.dsn)
        try:
            for row in await db.fetch(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ '^read_' AND nspname <> $1", self.schema
            ):
                await db.execute(f'DROP SCHEMA "{row["nspname"]}" CASCADE')
        finally:
            await db.close()

    async def bring_up(self, db: asyncpg.Connection, say: Callable[[int], None] = lambda _: None) -> int:
        """Fold and write what these models have not seen yet, and answer how much; two processes take turns.

        The next events are read, and the rows of the last ones written, while these are folded.
        """
        if await self._seen_all(db):
            return 0
        async with db.transaction():
            began = at = await db.fetchval(f"SELECT at FROM {self.schema}.position FOR UPDATE")
            await self._seen_all(db)
            reading, writing = asyncio.create_task(self._next(at)), None
            withdrawn: list[dict[str, Any]] = []
            try:
                with _replaying():
                    while chunk := await reading:
                        reading = asyncio.create_task(self._next(chunk[-1].position))
                        batch = self.begin()
                        await self.fold(batch, chunk, db, writing)
                        payload = await asyncio.to_thread(batch.payload, False)
                        if writing is not None:
                            await writing
                        writing = asyncio.create_task(self._write(db, payload, batch.entries, at, chunk[-1].position))
                        at = chunk[-1].position
                        withdrawn += batch.withdrawn
                        self.keep(batch)
                        say(at)
                    if writing is not None:
                        await writing
                    if withdrawn:
                        # Once for all that was replayed: nothing finds the entries of a record meanwhile.
                        await db.execute(f"SELECT {self.schema}.withdraw($1)", ENCODER.encode(withdrawn).decode())
            finally:
                # Where one of them fails, the other lets go of its connection before anybody else uses that.
                begun = [task for task in (reading, writing) if task is not None and not task.done()]
                for task in begun:
                    task.cancel()
                await asyncio.gather(*begun, return_exceptions=True)
        return at - began

    async def _seen_all(self, db: asyncpg.Connection) -> bool:
        # Whether these models are at the head. Another process may have parked some: what is folded next, is folded on
        # what is there.
        row = await db.fetchrow(
            f"""SELECT at = coalesce((SELECT max(position) FROM hub.event), 0) AS all,
                   (SELECT json_agg(json_build_array("table", key)) FROM {self.schema}.parked)::text AS parked
                FROM {self.schema}.position"""
        )
        assert row is not None
        parked = set(msgspec.json.decode(row["parked"], type=list[RowKey]) if row["parked"] else [])
        for key in self._parked - parked:
            # A rebuild has made it whole: what is in memory lacks an event.
            self._rows.pop(key, None)
        self._parked = parked
        return bool(row["all"])

    async def _next(self, after: int) -> list[Happened]:
        most = CHUNK if self.until is None else min(CHUNK, self.until - after)
        return await self.log.happened(after, most) if most > 0 else []

    async def _write(
        self, db: asyncpg.Connection, payload: str, entries: Sequence[history.EntryRow], at: int, position: int
    ) -> None:
        await db.execute(f"SELECT {self.schema}.write($1, $2, $3)", payload, at, position)
        await db.copy_records_to_table(
            "entry", schema_name=self.schema, records=map(_astuple, entries), columns=history.EntryRow.__struct_fields__
        )

    def begin(self, before: Batch | None = None) -> Batch:
        """Rows on what is in memory, or on another batch, which is being committed."""
        if before is None:
            return Batch(self._found, self._parked)
        return Batch(lambda key: before.changed[key] if key in before.changed else self._found(key), before.blocked)

    def stands(self, batch: Batch) -> None:
        """The batch before this one was kept: its rows are in memory now."""
        batch.find = self._found

    async def fold(
        self,
        batch: Batch,
        happened: Sequence[Happened | Recorded],
        db: asyncpg.Connection | None = None,
        writing: asyncio.Task[None] | None = None,
    ) -> None:
        """Fold these events; what is not in memory is read first: all of it at once, when first needed.

        It is read over ``db``, where that is given, once it has finished ``writing``: only there it is seen before the
        commit.
        """
        done = 0
        while done < len(happened):
            if len(happened) < LARGE:
                done = batch.add_all(happened, done)
            else:
                done = await asyncio.to_thread(batch.add_all, happened, done)
            if done < len(happened):
                if writing is not None:
                    await writing
                keys = keys_of(happened).items()
                await self._load([key for key, made in keys if not made and key not in self._rows], db)

    def _found(self, key: RowKey) -> Row | None:
        return self._rows.get(key, ABSENT)

    def keep(self, batch: Batch) -> None:
        """Take over the rows of a batch that was committed."""
        for key, row in batch.changed.items():
            self._rows[key] = row
            self._rows.move_to_end(key)
        self._parked |= {(each["table"], each["key"]) for each in batch.parked}
        self._rows.trim(len(batch.changed))

    def forget(self, recorded: Iterable[Recorded]) -> None:
        """Drop the rows that somebody else has changed."""
        for key in keys_of(recorded):
            self._rows.pop(key, None)

    def drop(self) -> None:
        """Forget all rows: the next batch reads them anew."""
        self._rows.clear()

    def give_way(self, fresh: "Models") -> None:
        """Go on with what stands in the place of these read models now: all rows are read anew."""
        self.drop()
        self._parked = fresh._parked

    async def _load(self, wanted: Sequence[RowKey], db: asyncpg.Connection | None) -> None:
        by_table: dict[str, list[tuple[str, ...]]] = {}
        for table, key in wanted:
            by_table.setdefault(table, []).append(key)
        for table, keys in by_table.items():
            cls = TABLES[table]
            names = ", ".join(f'"{name}"' for name in cls.__struct_fields__)
            given = ", ".join(f"${n}::text[]" for n in range(1, len(cls.key) + 1))
            own = ", ".join(f'"{name}"' for name in cls.key)
            rows = await (db or self.log.pool).fetch(
                f"""SELECT row_to_json(r)::text FROM (
                        SELECT {names} FROM {self.schema}."{table}"
                        WHERE ({own}) IN (SELECT * FROM unnest({given}))) r""",
                *([key[n] for key in keys] for n in range(len(cls.key))),
            )
            for key in keys:
                self._rows[table, key] = None
            for (text,) in rows:
                row = msgspec.json.decode(text, type=cls)
                self._rows[table, tuple(getattr(row, name) for name in cls.key)] = row


async def verify(log: Log, models: Models, say: Callable[[int], None] = lambda _: None) -> tuple[int, Any]:
    """Replay the log into a scratch schema and compare it with the live one, at one position.

    Answers that position and the first difference, if any.
    """
    scratch = Models(log, f"verify_{models.schema}")
    db = await connect(log.dsn)
    try:
        # One at a time: what is there of another was left by one that was killed.
        await db.execute(f"SELECT pg_advisory_lock({Lock.VERIFYING})")
        for row in await db.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^verify_'"):
            await db.execute(f'DROP SCHEMA "{row["nspname"]}" CASCADE')
        await scratch.open(say)
        async with db.transaction():
            # No command is recorded while the two are compared.
            await db.execute(f"SELECT pg_advisory_xact_lock({Lock.APPEND})")
            await scratch.open(say)
            at = await db.fetchval(f"SELECT at FROM {scratch.schema}.position")
            # As the hub itself reads: a policy on rows that hides some from it hides them here too.
            await db.execute(f"SET LOCAL ROLE {WRITER}")
            return at, await first_difference(db, models.schema, scratch.schema)
    finally:
        await db.execute(f"DROP SCHEMA IF EXISTS {scratch.schema} CASCADE")
        await db.close()
