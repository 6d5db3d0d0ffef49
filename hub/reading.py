"""Who may read what: the only place where a viewer's principals are found and compared with a row's readers."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from domain.core import kind_named
from domain.organizations.state import tied_since
from hub.log import Log
from hub.models import Models
from hub.tables import TABLES
from projections.core import CENTER, PUBLIC, Row, every_row, is_record, speaks_for, tie

_GRANTING = [(cls, cls.grants) for cls in every_row() if cls.grants is not None]
GIVE = frozenset({"person", "tie", "affiliation"}).union(
    *({cls.table, *([grant.while_.row.table] if grant.while_ else [])} for cls, grant in _GRANTING)
)
"""The tables that give principals: while none of them changes, nobody becomes anybody else before the day ends."""


async def principals(log: Log, models: Models, person: str | None) -> frozenset[str]:
    """What a viewer is: ``public``, themselves, their hub-wide roles, their offices, and the ties of who is to decide.

    Only who has joined is more than ``public``; the rest is what rows grant them.
    """
    if person is None:
        return frozenset({PUBLIC})
    schema = models.schema
    rows = await log.pool.fetch(_granted(schema), person)
    found = frozenset({PUBLIC, *(row[0] for row in rows)})
    if CENTER in found or speaks_for(found):
        found |= await _ties(log, schema, person, tied_since(await _moment(log, models)))
    return found


@cache
def _granted(schema: str) -> str:
    # All that rows grant to the person $1, and that person.
    parts = [
        f"WITH viewer AS (SELECT id FROM {schema}.person WHERE id = $1 AND status = 'joined') SELECT id FROM viewer"
    ]
    for cls, (to, while_) in _GRANTING:
        part = f'SELECT r.principal FROM {schema}."{cls.table}" r JOIN viewer ON r."{to}" = viewer.id'
        if while_ is not None:
            holds = [f'o."{other}" = r."{own}"' for other, own in while_.by.items()]
            holds += [f"o.\"{name}\" = '{value}'" for name, value in while_.has.items()]
            part += f' WHERE EXISTS (SELECT FROM {schema}."{while_.row.table}" o WHERE {" AND ".join(holds)})'
        parts.append(part)
    return " UNION ".join(parts)


async def _moment(log: Log, models: Models) -> datetime:
    # That of the newest event, where the past is shown.
    now = datetime.now(UTC)
    if models.until is None:
        return now
    sql = "SELECT at FROM hub.event WHERE position <= $1 ORDER BY position DESC LIMIT 1"
    return await log.pool.fetchval(sql, models.until) or now


async def _ties(log: Log, schema: str, person: str, since: date) -> frozenset[str]:
    # The same as ``ties`` in the domain, which decides.
    rows = await log.pool.fetch(
        f"""SELECT organization FROM {schema}.tie WHERE person = $1
            UNION SELECT organization FROM {schema}.affiliation
                WHERE person = $1 AND (until IS NULL OR until >= $2)""",
        person,
        since,
    )
    return frozenset(tie(row[0]) for row in rows)


class Readable(NamedTuple):
    """Rows that a viewer may read: what stands after ``FROM``, and what has to stand after ``WHERE``."""

    source: str
    predicate: str

    def __str__(self) -> str:
        return f"FROM {self.source} WHERE {self.predicate}"


def readable(
    schema: str,
    cls: type[Row],
    viewer: str = "$1",
    alias: str = "t",
    *,
    sources: Mapping[str, str] = MappingProxyType({}),
    reached: bool = False,
    filtered: bool = False,
) -> Readable:
    """The rows of a type that the viewer (a bind parameter, text[]) may read.

    No other place names a table that people read, so no query can forget the predicate. ``sources`` puts other rows
    in the place of a table; ``reached`` says that the row that these are within was itself read here, ``filtered``
    that something else finds the rows: then the index of readers is left alone.
    """
    table = sources.get(cls.table) or f'{schema}."{cls.table}"'
    source = f"{table} {alias}"
    if cls.within is None:
        may = f"{alias}.readers && {viewer}"
        return Readable(source, f"({may}) IS TRUE" if filtered else may)
    if reached:
        return Readable(source, "true")
    parent = cls.within
    inner = readable(schema, parent, viewer, alias + "p", sources=sources)
    return Readable(source, f'EXISTS (SELECT {inner} AND {alias}p.id = {alias}."{parent.table}")')


async def record(log: Log, models: Models, id: str, viewer: frozenset[str]) -> dict[str, Any] | None:
    """A record by its id, as its row; ``None`` where there is none or the viewer may not read it."""
    cls = TABLES.get(kind_named(id))
    if cls is None or not is_record(cls):
        return None
    names = ", ".join(f't."{name}"' for name in cls.__struct_fields__ if name != "readers")
    sql = f"SELECT row_to_json(r)::text FROM (SELECT {names} {readable(models.schema, cls)} AND t.id = $2) r"
    found = await log.pool.fetchval(sql, sorted(viewer), id)
    return None if found is None else json.loads(found)
