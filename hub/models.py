"""The engine of the read models: their schema, the rows of a batch, rebuild and verification."""

import hashlib
import inspect
import types as python
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg
import msgspec

from domain.core import every_event, every_state
from hub.log import WRITER, Log, Recorded
from projections import calls, history, organizations, people, proposals
from projections.core import FoldFailed, Row, every_row, fold

SUBJECTS = (organizations, people, calls, proposals, history)
RowKey = tuple[str, tuple[str, ...]]
"""A table and the key of a row in it."""

_SQL = {str: "text", int: "bigint", bool: "boolean", float: "double precision", datetime: "timestamptz", date: "date"}
_ENCODER = msgspec.json.Encoder(order="deterministic")


def digest() -> str:
    """The name of this code's read models: a digest of the folds and of the domain that they read."""
    modules = {inspect.getmodule(cls) for cls in (*every_row(), *every_event(), *every_state())}
    sources = sorted(inspect.getsource(module) for module in modules if module is not None)
    return "read_" + hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def column(annotation: Any) -> tuple[str, bool]:
    """The SQL type of a field, and whether it may be null."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, python.UnionType):
        return column(next(arg for arg in args if arg is not type(None)))[0], type(None) in args
    if typing.get_origin(annotation) is typing.Annotated:
        return column(args[0])
    if annotation == tuple[str, ...]:
        return "text[]", False
    return _SQL.get(annotation, "json"), False


def columns(cls: type[Row]) -> dict[str, tuple[str, bool]]:
    """The columns of a row type, in the order of its fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: column(hints[name]) for name in cls.__struct_fields__}


def ddl(schema: str) -> str:
    """The tables of all row types, and the function that writes them."""
    statements = [
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.position (at bigint NOT NULL)",
        f"INSERT INTO {schema}.position VALUES (0)",
        f'CREATE TABLE {schema}.touched ("table" text PRIMARY KEY, at bigint NOT NULL) WITH (fillfactor = 50)',
        f"""CREATE TABLE {schema}.parked (
                "table" text, key text[], position bigint NOT NULL, error text NOT NULL, PRIMARY KEY ("table", key))""",
    ]
    for cls in every_row():
        table, own = f'{schema}."{cls.table}"', columns(cls)
        defined = [f'"{name}" {type}{"" if null else " NOT NULL"}' for name, (type, null) in own.items()]
        if cls.search:
            text = " || ' ' || ".join(f'"{name}"' for name in cls.search)
            defined.append(f"search tsvector GENERATED ALWAYS AS (to_tsvector('simple', normalize({text}))) STORED")
        keys = ", ".join(f'"{name}"' for name in cls.key)
        statements.append(f"CREATE TABLE {table} ({', '.join(defined)}, PRIMARY KEY ({keys}))")
        statements.append(f"INSERT INTO {schema}.touched VALUES ('{cls.table}', 0)")
    statements.append(writing(schema))
    statements.append(f"GRANT USAGE ON SCHEMA {schema} TO {WRITER}")
    statements.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {WRITER}")
    return ";\n".join(statements)


def indexes(schema: str) -> list[str]:
    """The statements that index the tables; made after a replay they cost a fraction of what they cost during it."""
    statements = []
    for cls in every_row():
        on = f'INDEX IF NOT EXISTS "{cls.table}_by_%s" ON {schema}."{cls.table}"'
        if cls.search:
            statements.append(f"CREATE {on % 'search'} USING gin (search)")
        if "readers" in cls.__struct_fields__:
            statements.append(f"CREATE {on % 'readers'} USING gin (readers)")
        statements += [f'CREATE {on % f"like_{name}"} USING gin ("{name}" gin_trgm_ops)' for name in cls.fuzzy]
        for name in cls.index:
            wanted = f'"{name[1:]}" DESC, id DESC' if name.startswith("-") else f'"{name}"'
            statements.append(f"CREATE {on % name.lstrip('-')} ({wanted})")
    return statements


def writing(schema: str) -> str:
    """The function that writes rows and position together; its body names the schema that it stands in."""
    writes = []
    for cls in every_row():
        table, own = f'{schema}."{cls.table}"', columns(cls)
        keys = ", ".join(f'"{name}"' for name in cls.key)
        names = ", ".join(f'"{name}"' for name in own)
        rest = ", ".join(f'"{name}" = excluded."{name}"' for name in own if name not in cls.key)
        same = " AND ".join(f't."{name}" = gone."{name}"' for name in cls.key)
        writes.append(f"""
                WHEN '{cls.table}' THEN
                    INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, part.value)
                        ON CONFLICT ({keys}) DO UPDATE SET {rest};
                    UPDATE {schema}.touched SET at = $3 WHERE "table" = '{cls.table}';
                WHEN '-{cls.table}' THEN
                    DELETE FROM {table} t USING json_populate_recordset(NULL::{table}, part.value) gone
                        WHERE {same};
                    UPDATE {schema}.touched SET at = $3 WHERE "table" = '{cls.table}';""")
    # One pass over the document: asking it for each table in turn would parse all of it each time.
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.write(json, bigint, bigint) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            part record;
        BEGIN
            UPDATE {schema}.position SET at = $3 WHERE at = $2;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'these read models are not at position %', $2 USING ERRCODE = 'HB001';
            END IF;
            FOR part IN SELECT key, value FROM json_each($1) LOOP
                CASE part.key{"".join(writes)}
                WHEN '!parked' THEN
                    INSERT INTO {schema}.parked
                        SELECT * FROM json_populate_recordset(NULL::{schema}.parked, part.value)
                        ON CONFLICT DO NOTHING;
                END CASE;
            END LOOP;
        END $$"""


class Batch:
    """Rows folded in memory, each written once; nothing is shared with the cache until the batch is committed."""

    def __init__(self, find: Callable[[RowKey], Row | None], parked: Iterable[RowKey] = ()) -> None:
        self._find = find
        self.changed: dict[RowKey, Row | None] = {}
        self.entries: list[history.EntryRow] = []
        self.parked: list[dict[str, Any]] = []
        self._parked = set(parked)

    def add(self, recorded: Recorded) -> None:
        """Fold an event into every row that it concerns. A fold that fails parks its record, and nothing else."""
        concerned: list[tuple[str, ...]] = []
        for cls in FOLDING.get(type(recorded.event), ()):
            key = cls.table, cls.key_of(recorded.event)
            if key in self._parked:
                continue
            row = self.changed[key] if key in self.changed else self._find(key)
            try:
                after = self.changed[key] = fold(cls, row, recorded.event, recorded.at)
                if cls.within is None:
                    concerned.append(getattr(after or row, "readers", ()))
            except FoldFailed as failure:
                self._parked.add(key)
                self.parked.append(
                    {"table": key[0], "key": key[1], "position": recorded.position, "error": str(failure)}
                )
        self.entries.append(history.entry(recorded.event, recorded.position, recorded.actor, recorded.at, concerned))

    def payload(self) -> str:
        """What the schema's ``write`` takes."""
        tables: dict[str, list[Any]] = {"entry": list(self.entries)} if self.entries else {}
        for (table, key), row in self.changed.items():
            if row is None:
                tables.setdefault("-" + table, []).append(dict(zip(TABLES[table].key, key, strict=True)))
            else:
                tables.setdefault(table, []).append(row)
        if self.parked:
            tables["!parked"] = self.parked
        return _ENCODER.encode(tables).decode()


TABLES = {cls.table: cls for cls in every_row()}
FOLDING: dict[type, list[type[Row]]] = {}
for _cls in every_row():
    for _event in _cls.folds:
        FOLDING.setdefault(_event, []).append(_cls)


def keys_of(recorded: Iterable[Recorded]) -> dict[RowKey, bool]:
    """The rows that these events are folded into, and whether the first of the events makes the row anew."""
    keys: dict[RowKey, bool] = {}
    for each in recorded:
        event = each.event
        for cls in FOLDING.get(type(event), ()):
            keys.setdefault((cls.table, cls.key_of(event)), cls.folds[type(event)][1])
    return keys


class Models:
    """The read models of this code in one schema, and the rows that were used last in memory."""

    def __init__(self, log: Log, schema: str | None = None, size: int = 100_000, until: int | None = None) -> None:
        self.log, self._size, self._until = log, size, until
        self.schema = schema or digest() + (f"_at_{until}" if until is not None else "")
        self._rows: OrderedDict[RowKey, Row | None] = OrderedDict()
        self._parked: set[RowKey] = set()

    async def open(self, say: Callable[[int], None] = lambda _: None) -> None:
        """Make the schema where it is missing, and bring it up to the head by replay."""
        db = await asyncpg.connect(self.log.dsn)
        try:
            async with db.transaction():
                await db.execute("SELECT pg_advisory_xact_lock(4715743)")
                if not await db.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", self.schema):
                    await db.execute(ddl(self.schema))
            self._parked = {
                (row["table"], tuple(row["key"])) for row in await db.fetch(f"SELECT * FROM {self.schema}.parked")
            }
            await self.bring_up(db, say)
            async with db.transaction():
                await db.execute("SELECT pg_advisory_xact_lock(4715743)")
                await db.execute(";".join(indexes(self.schema)))
        finally:
            await db.close()

    async def remove(self) -> None:
        """Drop these read models: a replay makes them again."""
        db = await asyncpg.connect(self.log.dsn)
        try:
            await db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        finally:
            await db.close()

    async def bring_up(self, db: asyncpg.Connection, say: Callable[[int], None] = lambda _: None) -> None:
        """Fold and write what these models have not seen yet; two processes that do so take turns."""
        while True:
            async with db.transaction():
                at = await db.fetchval(f"SELECT at FROM {self.schema}.position FOR UPDATE")
                most = 10_000 if self._until is None else min(10_000, self._until - at)
                chunk = await self.log.read(after=at, limit=most) if most > 0 else []
                if not chunk:
                    return
                batch = await self.folded(chunk)
                await db.execute(f"SELECT {self.schema}.write($1, $2, $3)", batch.payload(), at, chunk[-1].position)
            self.keep(batch)
            say(chunk[-1].position)

    async def folded(self, recorded: Sequence[Recorded]) -> Batch:
        """The rows after these events; what is not in memory is read first."""
        wanted = [key for key, made in keys_of(recorded).items() if not made and key not in self._rows]
        if wanted:
            await self._load(wanted)
        batch = Batch(self._rows.get, self._parked)
        for each in recorded:
            batch.add(each)
        return batch

    def keep(self, batch: Batch) -> None:
        """Take over the rows of a batch that was committed."""
        for key, row in batch.changed.items():
            self._rows[key] = row
            self._rows.move_to_end(key)
        self._parked |= {(each["table"], each["key"]) for each in batch.parked}
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def forget(self, recorded: Iterable[Recorded]) -> None:
        """Drop the rows that somebody else has changed."""
        for key in keys_of(recorded):
            self._rows.pop(key, None)

    def drop(self) -> None:
        """Forget all rows: the next batch reads them anew."""
        self._rows.clear()

    async def _load(self, wanted: Sequence[RowKey]) -> None:
        by_table: dict[str, list[tuple[str, ...]]] = {}
        for table, key in wanted:
            by_table.setdefault(table, []).append(key)
        for table, keys in by_table.items():
            cls = TABLES[table]
            names = ", ".join(f'"{name}"' for name in cls.__struct_fields__)
            given = ", ".join(f"${n}::text[]" for n in range(1, len(cls.key) + 1))
            own = ", ".join(f'"{name}"' for name in cls.key)
            rows = await self.log.pool.fetch(
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


async def first_difference(db: asyncpg.Connection, one: str, other: str) -> tuple[str, str] | None:
    """The table and key of the first row in which two schemas differ; ``None`` where they are identical."""
    for cls in every_row():
        fields = ", ".join(
            f'"{name}"::text' if type == "json" else f'"{name}"' for name, (type, _) in columns(cls).items()
        )
        keys = " || ' ' || ".join(f'"{name}"' for name in cls.key)
        halves = [f'SELECT {keys} AS key, ROW({fields})::text AS row FROM {s}."{cls.table}"' for s in (one, other)]
        found = await db.fetchval(
            f"""SELECT coalesce(a.key, b.key) FROM ({halves[0]}) a FULL JOIN ({halves[1]}) b USING (key)
                WHERE a.row IS DISTINCT FROM b.row ORDER BY 1 LIMIT 1"""
        )
        if found is not None:
            return cls.table, found
    return None


async def verify(log: Log, models: Models, say: Callable[[int], None] = lambda _: None) -> tuple[int, Any]:
    """Replay the log into a scratch schema and compare it with the live one, at one position.

    Answers that position and the first difference, if any.
    """
    scratch = Models(log, f"verify_{hashlib.sha256(str(id(models)).encode()).hexdigest()[:12]}")
    db = await asyncpg.connect(log.dsn)
    try:
        await db.execute(f"DROP SCHEMA IF EXISTS {scratch.schema} CASCADE")
        await scratch.open(say)
        async with db.transaction():
            # No command is recorded while the two are compared.
            await db.execute("SELECT pg_advisory_xact_lock(4715741)")
            await scratch.open(say)
            at = await db.fetchval(f"SELECT at FROM {scratch.schema}.position")
            return at, await first_difference(db, models.schema, scratch.schema)
    finally:
        await db.execute(f"DROP SCHEMA IF EXISTS {scratch.schema} CASCADE")
        await db.close()
