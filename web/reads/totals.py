"""What is counted over many records: counted once, and kept right by the records that were written since.

Counting what may be read takes as long as there is much of it; after a command one record of many has changed. So of
a count that is asked for again the keys of its records are in memory, and only what was written since is looked at.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from hub.reading import readable
from hub.tables import TABLES
from web.reads.plan import Plan, Values

if TYPE_CHECKING:
    from web.reads.executor import Reads
    from web.reads.viewer import Viewer

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
class Counted:
    """Counts at some positions of their tables; of what is not too many, the keys in order.

    ``written`` is a position after which none of what is counted, or was, has been written.
    """

    positions: dict[str, int]
    counts: tuple[int, ...]
    keys: "tuple[array[int] | None, ...]"
    written: int

    @property
    def weight(self) -> int:
        """Bytes, about."""
        return 500 + sum(len(each) * 8 for each in self.keys if each is not None)


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
class Tallied:
    """A tally at some positions of its tables: what each record adds, by its key, and all of it together."""

    positions: dict[str, int]
    adds: dict[int, frozenset[str]]
    counts: Mapping[str, int]


def _tallied(at: dict[str, int], old: Tallied | None, rows: Iterable[Any]) -> Tallied:
    adds = dict(old.adds) if old else {}
    counts = Counter(old.counts if old else ())
    for key, texts in rows:
        counts.subtract(adds.pop(key, ()))
        if texts:
            adds[key] = frozenset(texts)
            counts.update(adds[key])
    return Tallied(at, adds, +counts)


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


class Counting:
    """Counts for the viewers of one process."""

    def __init__(self, reads: "Reads") -> None:
        self._reads = reads

    async def all(self, plan: Plan, values: Values, viewer: "Viewer") -> list[int]:
        """The totals of an operation, by their numbers."""
        found = await asyncio.gather(*(self._of(each, values, viewer) for each in plan.totals))
        return _by_number(plan, found)

    def known(self, plan: Plan, values: Values, viewer: "Viewer") -> list[int] | None:
        """The same where nothing has to be asked for."""
        found = []
        for each in plan.totals:
            counted = self._reads.kept.get(self._key(each, each.bound(values), viewer))
            if counted is None or counted.positions != _positions(each.tables, viewer):
                return None
            if any(plain and not count for plain, count in zip(each.lenient, counted.counts, strict=True)):
                return None
            found.append(counted.counts)
        return _by_number(plan, found)

    async def written(self, table: str, viewer: "Viewer") -> int:
        """A position after which nothing of a table has been written that this viewer may read."""
        schema, alias = self._reads.hub.models.schema, "counted"
        rows = readable(schema, TABLES[table], alias=alias)
        wanted = Wanted(rows.source, table, alias, [rows.predicate], [None], [0])
        return (await self._counted(wanted.totals((), [table]), [], viewer)).written

    async def tally(self, what: Tally, given: list[Any], viewer: "Viewer") -> Mapping[str, int]:
        """How many records add each text."""
        at = _positions(within(what.table), viewer)
        key = what.all, msgspec.json.encode(given), viewer.key
        known: Tallied | None = self._reads.kept.get(key)
        if known is None or known.positions != at:
            log, rows = self._reads.hub.log, None
            if known is not None:
                rows = await log.pool.fetch(what.changed, viewer.list, *given, known.positions[what.table])
            if known is None or rows is None or len(rows) > MOST_CHANGED:
                known, rows = None, await log.counting.fetch(what.all, viewer.list, *given)
            known = _tallied(at, known, rows)
            self._reads.kept.put(key, known, 500 + 300 * len(known.adds))
        return known.counts

    async def each(self, what: Each, values: Values, viewer: "Viewer", ids: Iterable[str]) -> Mapping[str, int]:
        """How many records belong to each of these."""
        given, log = [bind(values) for bind in what.binders], self._reads.hub.log
        at = _positions(what.tables, viewer)
        key = what.counted, msgspec.json.encode(given), viewer.key
        old: tuple[dict[str, int], dict[str, int]] | None = self._reads.kept.get(key)
        counts: dict[str, int] = {}
        if old is not None and old[0] == at:
            counts = old[1]
        elif old is not None and _own(what.table, old[0], at):
            gone = {row[0] for row in await log.pool.fetch(what.changed, old[0][what.table])}
            if len(gone) <= MOST_CHANGED:
                counts = {id: count for id, count in old[1].items() if id not in gone}
        if missing := sorted(set(ids) - counts.keys()):
            rows = await log.counting.fetch(what.counted, viewer.list, *given, missing)
            counts = {**counts, **dict.fromkeys(missing, 0), **{id: count for id, count in rows}}
        self._reads.kept.put(key, (at, counts), 500 + 100 * len(counts))
        return counts

    async def _of(self, totals: Totals, values: Values, viewer: "Viewer") -> Sequence[int]:
        counted = await self._counted(totals, totals.bound(values), viewer)
        if not any(totals.lenient):
            return counted.counts
        counts = list(counted.counts)
        for n, plan in enumerate(totals.lenient):
            if plan is not None and not counts[n]:
                counts[n] = await self._misspelled(plan, values, viewer)
        return counts

    async def _counted(self, totals: Totals, bound: list[Any], viewer: "Viewer") -> Counted:
        at, key = _positions(totals.tables, viewer), self._key(totals, bound, viewer)
        counted: Counted | None = self._reads.kept.get(key)
        if counted is None or counted.positions != at:
            plain = {n for n, keys in enumerate(counted.keys, start=1) if keys is None} if counted else set()
            if not self._reads.keeps:
                plain = {*range(1, len(totals.numbers) + 1)}
            newer = await self._since(totals, counted, bound, at, viewer) if counted and not plain else None
            counted = newer or await self._anew(totals, bound, at, viewer, plain)
            self._reads.kept.put(key, counted, counted.weight)
        return counted

    async def _misspelled(self, plan: Plan, values: Values, viewer: "Viewer") -> int:
        given = [bind(values) for bind in plan.binders]
        count = lambda: self._reads.hub.log.counting.fetchval(plan.sql, viewer.list, *given)  # noqa: E731
        key = plan.sql, msgspec.json.encode(given), viewer.key, viewer.position(plan.tables)
        return await self._reads.once(key, count)

    async def _anew(
        self, totals: Totals, bound: list[Any], at: dict[str, int], viewer: "Viewer", plain: set[int]
    ) -> Counted:
        row = await self._reads.hub.log.counting.fetchrow(totals.counted, viewer.list, *bound, sorted(plain))
        assert row is not None
        keys = [None if n in plain else _ordered(sent) for n, sent in enumerate(row[::2], start=1)]
        if many := {n for n, each in enumerate(keys, start=1) if each is not None and len(each) > MOST_KEPT}:
            return await self._anew(totals, bound, at, viewer, plain | many)
        counts = (count if each is None else len(each) for each, count in zip(keys, row[1::2], strict=True))
        return Counted(at, tuple(counts), tuple(keys), at[totals.table])

    async def _since(
        self, totals: Totals, old: Counted, bound: list[Any], at: dict[str, int], viewer: "Viewer"
    ) -> Counted | None:
        if not _own(totals.table, old.positions, at):
            return None
        given = viewer.list, *bound, old.positions[totals.table]
        rows = await self._reads.hub.log.pool.fetch(totals.changed, *given)
        if len(rows) > MOST_CHANGED:
            return None
        keys, written = [array("q", each or ()) for each in old.keys], old.written
        for key, now in rows:
            for own, counts in zip(keys, now, strict=True):
                n = bisect_left(own, key)
                known = n < len(own) and own[n] == key
                written = at[totals.table] if known or counts else written
                if counts and not known:
                    own.insert(n, key)
                elif known and not counts:
                    own.pop(n)
        return Counted(at, tuple(map(len, keys)), tuple(keys), written)

    @staticmethod
    def _key(totals: Totals, bound: list[Any], viewer: "Viewer") -> Any:
        return totals.counted, msgspec.json.encode(bound), viewer.key


def _own(table: str, old: dict[str, int], new: dict[str, int]) -> bool:
    # Whether nothing else has changed: another table could change what is said of a record that was not written itself.
    return {name for name in new if new[name] != old[name]} <= within(table)


def _positions(tables: Iterable[str], viewer: "Viewer") -> dict[str, int]:
    return {name: viewer.positions.get(name, 0) for name in tables}


def _by_number(plan: Plan, found: Sequence[Sequence[int]]) -> list[int]:
    every = {
        n: count
        for each, counts in zip(plan.totals, found, strict=True)
        for n, count in zip(each.numbers, counts, strict=True)
    }
    return [every[n] for n in range(len(every))]


def _ordered(sent: bytes | None) -> "array[int]":
    keys = array("q", sent or b"")
    keys.byteswap()
    return array("q", sorted(keys))
