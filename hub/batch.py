"""The rows of a batch of events: folded in memory, each written once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from domain.core import Event
from hub.log import Happened, Recorded
from hub.tables import TABLES
from projections import history
from projections.core import FoldFailed, Row, every_row, fold, is_record
from projections.words import vector

RowKey = tuple[str, tuple[str, ...]]
"""A table and the key of a row in it."""
ABSENT: Any = object()
"""A row that is not in memory: whether there is one has to be looked up."""
ENCODER = msgspec.json.Encoder(order="deterministic")


class Batch:
    """Rows folded in memory, each written once; nothing is shared with the cache until the batch is committed."""

    def __init__(self, find: Callable[[RowKey], Row | None], parked: Iterable[RowKey] = ()) -> None:
        self.find = find
        self._before: dict[RowKey, Row | None] = {}
        self.changed: dict[RowKey, Row | None] = {}
        self._encoded: dict[RowKey, tuple[Row, msgspec.Raw]] = {}
        self.entries: list[history.EntryRow] = []
        self.parked: list[dict[str, Any]] = []
        self.blocked = set(parked)
        self._skipped: set[RowKey] = set()
        self.withdrawn: list[dict[str, Any]] = []

    def add_all(self, happened: Sequence[Happened | Recorded], begin: int) -> int:
        """Fold these events from one of them on; answers which is the first that has to wait for a row."""
        for n in range(begin, len(happened)):
            if not self.add(happened[n]):
                return n
        return len(happened)

    def add(self, happened: Happened | Recorded) -> bool:
        """Fold an event into every row that it concerns; ``False``, and nothing done, where a row has to be read first.

        A fold that fails parks its record, and nothing else.
        """
        event = happened.event
        keyed: list[tuple[Step, RowKey, Row | None]] = []
        for step in FOLDING.get(type(event), ()):
            key = step.key(event)
            known = step.makes or key in self.blocked
            row = None if known else self.changed[key] if key in self.changed else self.find(key)
            if row is ABSENT:
                return False
            keyed.append((step, key, row))
        concerned: list[tuple[str, ...]] = []
        for step, key, row in keyed:
            if key in self.blocked:
                self._skipped.add(key)
                if step.whole:
                    concerned.append(())
                continue
            if key not in self.changed:
                self._before[key] = row
            try:
                after = self.changed[key] = fold(step.cls, row, event, happened.at)
                if step.whole:
                    before, now = getattr(row, "readers", ()), getattr(after or row, "readers", ())
                    concerned.append(history.concerned(row, after))
                    if step.record and before and before != now:
                        self._withdraw(key[1][0], before, now, happened.position)
            except FoldFailed as failure:
                self.blocked.add(key)
                if step.whole:
                    # Who might read what could not be folded is not known: nobody does.
                    concerned.append(())
                self.parked.append(
                    {"table": key[0], "key": key[1], "position": happened.position, "error": str(failure)}
                )
        self.entries.append(history.entry(event, happened.position, happened.actor, happened.at, concerned))
        return True

    def _withdraw(self, record: str, before: Sequence[str], after: Sequence[str], position: int) -> None:
        # Who may read a record no more, reads nothing of what happened in it before.
        if gone := set(before).difference(after):
            self.withdrawn.append({"record": record, "readers": sorted(gone), "position": position})

    def encode(self) -> None:
        """Encode what was folded since: so much less has to be done when the rows are written."""
        for key, row in self.changed.items():
            if row is not None and ((known := self._encoded.get(key)) is None or known[0] is not row):
                self._encoded[key] = row, msgspec.Raw(ENCODER.encode(self._worded(*key, row)))

    def payload(self, entries: bool = True) -> str:
        """What the schema's ``write`` takes; without the ``entries`` where they are copied."""
        tables: dict[str, list[Any]] = {"entry": list(self.entries)} if entries and self.entries else {}
        for (table, key), row in self.changed.items():
            if row is None:
                tables.setdefault("-" + table, []).append(dict(zip(TABLES[table].key, key, strict=True)))
            else:
                known = self._encoded.get((table, key))
                encoded = known[1] if known is not None and known[0] is row else self._worded(table, key, row)
                tables.setdefault(table, []).append(encoded)
        if self.parked:
            tables["!parked"] = self.parked
        if skipped := self._skipped - {(each["table"], each["key"]) for each in self.parked}:
            # A rebuild may have made them whole meanwhile: then nothing is written, and all is read anew.
            tables["!skipped"] = [{"table": table, "key": key} for table, key in sorted(skipped)]
        if entries and self.withdrawn:
            # Last: the entries of this batch are among those that it is about.
            tables["!withdrawn"] = self.withdrawn
        return ENCODER.encode(tables).decode()

    def _worded(self, table: str, key: tuple[str, ...], row: Row) -> Row | msgspec.Raw:
        # The row with the words that it is found by, unless the table has them already.
        names = TABLES[table].search
        texts = [getattr(row, name) for name in names]
        if not names or ((old := self._before[table, key]) and texts == [getattr(old, name) for name in names]):
            return row
        return msgspec.Raw(b'{"search":' + ENCODER.encode(vector(*texts)) + b"," + ENCODER.encode(row)[1:])


class Step(NamedTuple):
    """One of the rows that an event is folded into: which, whether it is made anew, has readers, is a record's."""

    cls: type[Row]
    key: Callable[[Event], RowKey]
    makes: bool
    whole: bool
    record: bool


FOLDING: dict[type, list[Step]] = {}
for _cls in every_row():
    for _event, (_, _makes) in _cls.folds.items():
        FOLDING.setdefault(_event, []).append(Step(_cls, _cls.keyed(), _makes, _cls.within is None, is_record(_cls)))


def keys_of(recorded: Iterable[Happened | Recorded]) -> dict[RowKey, bool]:
    """The rows that these events are folded into, and whether the first of the events makes the row anew."""
    keys: dict[RowKey, bool] = {}
    for each in recorded:
        for step in FOLDING.get(type(each.event), ()):
            keys.setdefault(step.key(each.event), step.makes)
    return keys
