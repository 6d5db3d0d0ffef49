"""The tables of the read models: columns, indexes and the function that writes them, derived from the row types."""

import ast
import hashlib
import inspect
import pkgutil
import sys
import types as python
import typing
from datetime import date, datetime
from functools import cache
from importlib import import_module
from typing import Any

import asyncpg

import domain.core
import projections
from domain.core import every_event
from hub.log import WRITER
from projections.core import Row, every_row, is_record

_SQL = {str: "text", int: "bigint", bool: "boolean", float: "double precision", datetime: "timestamptz", date: "date"}


def digest() -> str:
    """The name of this code's read models: a digest of the folds, of their events, and of how rows are made of them.

    Commands and states are not in it: whoever changes what may be done leaves what has happened as it is. Nor are
    docstrings: whoever words one better makes no rows anew.
    """
    modules = {inspect.getmodule(cls) for cls in every_event()} | {sys.modules[__name__], import_module("hub.batch")}
    # All of them: what a fold only calls makes its rows, too.
    for room in (projections, domain.core):
        modules |= {import_module(each.name) for each in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")}
    sources = sorted(undocumented(inspect.getsource(module)) for module in modules if module is not None)
    return "read_" + hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


@cache
def undocumented(source: str) -> str:
    """The source of a module without the lines of its docstrings."""
    lines, documented = source.splitlines(), set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documented |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return "\n".join(line for n, line in enumerate(lines, start=1) if n not in documented)


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
            defined.append("search tsvector")
        if is_record(cls):
            # Where the batch ended that wrote it, not the event: nothing but what is kept in memory is found by it.
            defined.append("touched bigint NOT NULL DEFAULT 0")
        keys = ", ".join(f'"{name}"' for name in cls.key)
        statements.append(f"CREATE TABLE {table} ({', '.join(defined)}, PRIMARY KEY ({keys}))")
        if cls.search:
            # In the row, where a search that ranks a thousand of them looks; what is longer and shown to few moves out.
            statements.append(f"ALTER TABLE {table} ALTER search SET STORAGE MAIN")
        statements.append(f"INSERT INTO {schema}.touched VALUES ('{cls.table}', 0)")
    statements.append(functions(schema))
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
            # A word's beginning is as frequent as all words that begin so: the planner has to know more than the
            # hundred most frequent ones, or it takes a common beginning for a rare one.
            statements.append(f'ALTER TABLE {schema}."{cls.table}" ALTER search SET STATISTICS 500')
        if is_record(cls):
            statements.append(f"CREATE {on % 'touched'} (touched)")
        if "readers" in cls.__struct_fields__:
            statements.append(f"CREATE {on % 'readers'} USING gin (readers)")
        statements += [f'CREATE {on % f"like_{name}"} USING gin ("{name}" gin_trgm_ops)' for name in cls.fuzzy]
        for name in cls.index:
            parts = [f'"{part}"' for part in name.split()]
            wanted = f'"{name[1:]}" DESC, id DESC' if name.startswith("-") else ", ".join(parts)
            # With the readers in it, counting what a viewer may read touches no row.
            readers = " INCLUDE (readers)" if "readers" in cls.__struct_fields__ else ""
            statements.append(f"CREATE {on % name.lstrip('-').replace(' ', '_')} ({wanted}){readers}")
    return statements


def functions(schema: str) -> str:
    """The functions of a schema; their bodies name the schema that they stand in."""
    return f"{_withdrawing(schema)};\n{_writing(schema)}"


def _writing(schema: str) -> str:
    """The function that writes rows and position together."""
    writes = []
    for cls in every_row():
        table, own = f'{schema}."{cls.table}"', columns(cls)
        keys = ", ".join(f'"{name}"' for name in cls.key)
        names = ", ".join(f'"{name}"' for name in (*own, *(["search"] if cls.search else [])))
        at = is_record(cls)
        rest = ", ".join(f'"{name}" = excluded."{name}"' for name in own if name not in cls.key)
        # Where the words have not changed they are not sent.
        rest += ", search = coalesce(excluded.search, t.search)" if cls.search else ""
        rest += ", touched = excluded.touched" if at else ""
        same = " AND ".join(f't."{name}" = gone."{name}"' for name in cls.key)
        writes.append(f"""
                WHEN '{cls.table}' THEN
                    INSERT INTO {table} AS t ({names}{", touched" if at else ""})
                        SELECT {names}{", $3" if at else ""} FROM json_populate_recordset(NULL::{table}, part.value)
                        ON CONFLICT ({keys}) DO UPDATE SET {rest};""")
        if not at:
            writes.append(f"""
                WHEN '-{cls.table}' THEN
                    DELETE FROM {table} t USING json_populate_recordset(NULL::{table}, part.value) gone
                        WHERE {same};""")
    # One pass over the document: asking it for each table in turn would parse all of it each time.
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.write(json, bigint, bigint) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            part record;
            written text[] := '{{}}';
        BEGIN
            UPDATE {schema}.position SET at = $3 WHERE at = $2;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'these read models are not at position %', $2 USING ERRCODE = 'HB001';
            END IF;
            FOR part IN SELECT key, value FROM json_each($1) LOOP
                written := written || ltrim(part.key, '-');
                CASE part.key{"".join(writes)}
                WHEN '!parked' THEN
                    INSERT INTO {schema}.parked
                        SELECT * FROM json_populate_recordset(NULL::{schema}.parked, part.value)
                        ON CONFLICT DO NOTHING;
                WHEN '!withdrawn' THEN
                    PERFORM {schema}.withdraw(part.value);
                WHEN '!skipped' THEN
                    IF EXISTS (SELECT FROM json_populate_recordset(NULL::{schema}.parked, part.value) s
                               WHERE NOT EXISTS (SELECT FROM {schema}.parked p
                                                 WHERE p."table" = s."table" AND p.key = s.key)) THEN
                        RAISE EXCEPTION 'what was skipped is not parked' USING ERRCODE = 'HB001';
                    END IF;
                END CASE;
            END LOOP;
            UPDATE {schema}.touched SET at = $3 WHERE "table" = ANY(written);
        END $$"""


def _withdrawing(schema: str) -> str:
    """The function that takes readers from the earlier entries of records that they may read no more."""
    gone = "gone.record = e.record AND e.position < gone.position"
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.withdraw(json) RETURNS void LANGUAGE sql AS $$
            WITH gone AS MATERIALIZED (
                SELECT * FROM json_to_recordset($1) AS w (record text, readers text[], position bigint))
            UPDATE {schema}.entry e
            SET readers = ARRAY(
                SELECT r FROM unnest(e.readers) WITH ORDINALITY u (r, n)
                WHERE NOT EXISTS (SELECT FROM gone WHERE {gone} AND r = ANY (gone.readers)) ORDER BY n)
            WHERE EXISTS (SELECT FROM gone WHERE {gone} AND e.readers && gone.readers)
        $$"""


TABLES = {cls.table: cls for cls in every_row()}
"""Every row type by the name of its table."""


async def first_difference(db: asyncpg.Connection, one: str, other: str) -> tuple[str, str] | None:
    """The table and key of the first row in which two schemas differ; ``None`` where they are identical."""
    for cls in every_row():
        fields = ", ".join(
            f'"{name}"::text' if type == "json" else f'"{name}"' for name, (type, _) in columns(cls).items()
        ) + (", search" if cls.search else "")
        keys = " || ' ' || ".join(f'"{name}"' for name in cls.key)
        halves = [f'SELECT {keys} AS key, ROW({fields})::text AS row FROM {s}."{cls.table}"' for s in (one, other)]
        found = await db.fetchval(
            f"""SELECT coalesce(a.key, b.key) FROM ({halves[0]}) a FULL JOIN ({halves[1]}) b USING (key)
                WHERE a.row IS DISTINCT FROM b.row ORDER BY 1 LIMIT 1"""
        )
        if found is not None:
            return cls.table, found
    return None
