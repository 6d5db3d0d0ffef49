"""What is counted over many records: counted once, and kept right by the records that were written since.

Counting what may be read takes as long as there is much of it; after a command one record of many has changed. So of
a count that is asked for again the keys of its records are in memory, and only what was written since is looked at.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hub.reading import readable
from hub.tables import TABLES
from web.reads.plan import Plan, Values
from web.reads.totals import MOST_CHANGED, MOST_KEPT, Each, Tally, Totals, Wanted, within

if TYPE_CHECKING:
    from web.reads.executor import Reads
    from web.reads.viewer import Viewer


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
