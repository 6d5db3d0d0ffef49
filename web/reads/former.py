"""Records as they once stood: folded from their own events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from graphql import get_named_type
from msgspec.structs import replace

from domain.core import Sealed, stored_names
from hub.batch import Batch, RowKey
from hub.log import Recorded
from projections.core import Row
from web.reads.compiler import as_of_tables
from web.reads.late import loads
from web.reads.mapping import table_of
from web.reads.plan import BadInput, Late, Values

if TYPE_CHECKING:
    from web.reads.making import Reading


@loads
async def as_of(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Records as they stood: folded from their own events, read through the same selection and the same predicate."""
    args = values.args(late.definition, late.node)
    position, at = args.get("position"), args.get("at")
    if (position is None) == (at is None):
        raise BadInput("Give either `position` or `at`.", late.node)
    head = await reading.hub.log.head() if reading.until is None else reading.until
    if position is not None and not 0 <= position <= head:
        raise BadInput(f"The log has no position {position}: it ends at {head}.", late.node)
    if at is not None and at > datetime.now(UTC):
        raise BadInput("That time has not come yet: ask for the record itself.", late.node)
    of = get_named_type(late.definition.type)
    cls = table_of(of)
    assert cls is not None
    assert late.plan is not None
    found = []
    for (id,) in items:
        rows = await _stood(reading, cls, id, position, at)
        text = [msgspec.json.encode(each).decode() for each in rows]
        inner = Values(values.variables, values.person, values.principals, (id, *text), values.language)
        found.append(await reading.run(late.plan, inner))
    return found


async def _stood(
    reading: "Reading", cls: type[Row], id: str, position: int | None, at: datetime | None
) -> list[list[Row]]:
    held: dict[RowKey, Row | None] = {}
    batch = Batch(held.get)
    tables = as_of_tables(cls)
    async for each in reading.hub.log.history(id, stored_names(*(event for table in tables for event in table.folds))):
        if _later(each, position, at, reading.until):
            break
        batch.add(each)
    found = [
        [row for (table, key), row in batch.changed.items() if table == each.table and key[0] == id and row is not None]
        for each in tables
    ]
    if sealed := [name for name, type in get_type_hints(cls).items() if type == Sealed | None]:
        found[0] = [await _as_of_now(reading, cls, id, sealed, row) for row in found[0]]
    return found


async def _as_of_now(reading: "Reading", cls: type[Row], id: str, sealed: Sequence[str], row: Row) -> Row:
    # What somebody has corrected of what is personal is shown to nobody.
    names = ", ".join(f"{name}::text" for name in sealed)
    sql = f"SELECT {names} FROM {reading.hub.models.schema}.{cls.table} WHERE id = $1"
    now = await reading.hub.log.pool.fetchrow(sql, id)
    assert now is not None
    return replace(row, **{name: text and msgspec.json.decode(text, type=Sealed) for name, text in now.items()})


def _later(each: Recorded, position: int | None, at: datetime | None, until: int | None) -> bool:
    return (
        (position is not None and each.position > position)
        or (at is not None and each.at > at)
        or (until is not None and each.position > until)
    )
