"""What is counted, as statements: all of it, and what was written since."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.reading import readable
from hub.tables import TABLES
from web.reads.plan import Plan, Values

MOST_KEPT = 100_000
"""The keys of so many records are kept for a count, eight bytes each; what has more is counted anew."""
MOST_CHANGED = 1_000
"""So many changes since are looked at one by one."""


def marks(alias: str) -> tuple[str, str]:
    """A record's key as a number, and the position at which it was written last."""
    return f"hashtextextended({alias}.id, 0)", f"{alias}.touched"


def within(table: str) -> set[str]:
    """A table, and those of the rows within its rows: what changes one of these writes its record anew, too."""
    return {table, *(name for name, cls in TABLES.items() if cls.within is TABLES[table])}


@dataclass(frozen=True)
class Totals:
    """The counts of an operation over the records of one table.

    ``counted`` gives for each count the keys of what it counts, or its number alone where the last parameter names it.
    ``changed`` gives what was written after a position: each key, and which of the counts it is in now. ``lenient``
    counts once more, with misspelled words, where a count by words finds nothing.
    """

    table: str
    counted: str
    changed: str
    binders: tuple[Callable[[Values], Any], ...]
    tables: frozenset[str]
    lenient: tuple[Plan | None, ...]
    numbers: tuple[int, ...]

    def bound(self, values: Values) -> list[Any]:
        """The parameters of both statements, but for the last."""
        return [bind(values) for bind in self.binders]


@dataclass
class Wanted:
    """The counts of a table, while an operation is compiled."""

    source: str
    table: str
    alias: str = "counted"
    conditions: list[str] = field(default_factory=list)
    lenient: list[Plan | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def totals(self, binders: Sequence[Callable[[Values], Any]], tables: Iterable[str]) -> Totals:
        """Both statements."""
        last, (key, touched) = len(binders) + 2, marks(self.alias)
        columns = []
        for n, condition in enumerate(self.conditions, start=1):
            rows = f"FROM {self.source} WHERE {condition}"
            kept = f"(SELECT {key} AS k {rows} LIMIT {MOST_KEPT + 1}) s"
            plain = f"{n} = ANY(${last}::int[])"
            columns.append(f"CASE WHEN NOT {plain} THEN (SELECT string_agg(int8send(k), '') FROM {kept}) END")
            columns.append(f"CASE WHEN {plain} THEN (SELECT count(*) {rows}) END")
        now = ", ".join(f"({condition}) IS TRUE" for condition in self.conditions)
        changed = (
            f"SELECT {key}, ARRAY[{now}] FROM {self.source} WHERE {touched} > ${last}::bigint"
            f" ORDER BY {touched} LIMIT {MOST_CHANGED + 1}"
        )
        numbers, lenient = tuple(self.numbers), tuple(self.lenient)
        return Totals(
            self.table, f"SELECT {', '.join(columns)}", changed, tuple(binders), frozenset(tables), lenient, numbers
        )


@dataclass(frozen=True)
class Tally:
    """What each record of a table adds to a count: texts, none where it adds nothing.

    ``where`` and ``adds`` are SQL over the record ``t`` and the rows within it alone; ``$1`` are the viewer's
    principals, from ``$2`` on what is given. ``among`` finds quickly what ``where`` would find.
    """

    table: str
    all: str
    changed: str

    @classmethod
    def of(cls, schema: str, table: str, where: str, adds: str, given: int, among: str = "") -> "Tally":
        """Its statements, for so many parameters."""
        rows, (key, touched) = readable(schema, TABLES[table], filtered=bool(among)), marks("t")
        found = f"t.id IN ({among})" if among else where
        changed = f"SELECT {key}, CASE WHEN ({rows.predicate}) AND ({where}) THEN {adds} END FROM {rows.source}"
        return cls(
            table,
            f"SELECT {key}, {adds} {rows} AND {found}",
            f"{changed} WHERE {touched} > ${given + 2} ORDER BY {touched} LIMIT {MOST_CHANGED + 1}",
        )


@dataclass(frozen=True)
class Each:
    """How many records belong to each of many others: ``counted`` for some of them, by the last parameter.

    ``changed`` are those of which something was written after ``$1``; what a record belongs to never changes.
    """

    table: str
    counted: str
    changed: str
    binders: tuple[Callable[[Values], Any], ...]
    tables: frozenset[str]

    @classmethod
    def of(
        cls,
        table: str,
        on: str,
        source: str,
        where: str,
        binders: Sequence[Callable[[Values], Any]],
        tables: Iterable[str],
    ) -> "Each":
        """Its statements, over the records ``counted``."""
        own, (_, touched) = f'counted."{on}"', marks("counted")
        some = f"{own} = ANY(${len(binders) + 2}::text[])"
        return cls(
            table,
            f"SELECT {own}, count(*) FROM {source} WHERE {where} AND {some} GROUP BY 1",
            f"SELECT DISTINCT {own} FROM {source} WHERE {touched} > $1 LIMIT {MOST_CHANGED + 1}",
            tuple(binders),
            frozenset(tables),
        )
