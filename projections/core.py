"""Read models: a row type and pure folds, event in, row out. The engine in ``hub`` writes them."""

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

import msgspec

import projections
from domain.core import Event, subclasses

Fold = Callable[..., Any]
KeyOf = Callable[[Any], tuple[str, tuple[str, ...]]]
"""From an event to the table and the key of a row."""
F = TypeVar("F", bound=Fold)

PUBLIC = "public"
_OFFICE, _TIE = "/office", "/tie"
_AUTHORITY = "national_authority/"
CENTER = "center"
AUDITORS = "auditor/"
"""The principal of the auditors of the whole hub, as their role gives it."""


class While(typing.NamedTuple):
    """A row of another type that has to be there: which, by this row's columns under its own, and as it has to be."""

    row: "type[Row]"
    by: dict[str, str]
    has: dict[str, str]


class Grant(typing.NamedTuple):
    """That the ``principal`` of a row is given to the person in a column of it, ``to``, once they have joined."""

    to: str
    while_: While | None = None


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class RowMeta(msgspec.StructMeta):
    """Notes on each row type its table, key and indexes."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        table: str = "",
        key: tuple[str, ...] = ("id",),
        within: "type[Row] | None" = None,
        search: tuple[str, ...] = (),
        fuzzy: tuple[str, ...] = (),
        index: tuple[str, ...] = (),
        grants: Grant | None = None,
        **options: Any,
    ) -> "RowMeta":
        cls = super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})
        if bool(search) != bool(fuzzy):
            raise TypeError(f"{name}: what is searched is searched for misspelled words too, so name both or neither")
        if grants and not {"principal", grants.to} <= {*cls.__struct_fields__}:
            raise TypeError(f"{name}: what it grants stands in its column principal, to whom in {grants.to}")
        noted: dict[str, Any] = {}
        noted |= {"table": table, "key": key, "within": within, "search": search, "fuzzy": fuzzy, "index": index}
        for attribute, value in {**noted, "grants": grants, "folds": {}}.items():
            setattr(cls, attribute, value)
        return cls


class Row(msgspec.Struct, frozen=True, metaclass=RowMeta):
    """A row of a read model. Its columns are its fields; who may read it is one of them, ``readers``.

    ``key`` names the fields that identify it; each is taken from the event's field of that name (``id`` from the
    field named as the table). A row ``within`` another is read by whoever reads that one.
    ``search`` are the columns of its full text, ``fuzzy`` those in which misspelled words are found too,
    ``index`` those that lists are filtered by (``status``) or ordered by (``-changed_at``: the newest first);
    ``call status`` is both, so that counting by both touches no row. One that ``grants`` says whom its ``principal``
    is given: what people may read follows from such rows alone.
    """

    table: ClassVar[str] = ""
    key: ClassVar[tuple[str, ...]] = ("id",)
    within: ClassVar["type[Row] | None"] = None
    search: ClassVar[tuple[str, ...]] = ()
    fuzzy: ClassVar[tuple[str, ...]] = ()
    index: ClassVar[tuple[str, ...]] = ()
    grants: ClassVar[Grant | None] = None
    folds: ClassVar[dict[type[Event], tuple[Fold, bool]]] = {}

    @classmethod
    def on(cls, *events: type[Event]) -> Callable[[F], F]:
        """Fold these events: ``(e, at) -> row`` makes a row, ``(row, e, at) -> row | None`` changes or removes it."""

        def register(fold: F) -> F:
            makes = len(inspect.signature(fold).parameters) == 2
            for event in events:
                cls.folds[event] = fold, makes
            return fold

        return register

    @classmethod
    def keyed(cls) -> KeyOf:
        """Finds the table and the key of the row that an event is folded into."""
        names = [cls.table if name == "id" else name for name in cls.key]
        table = cls.table
        get: Callable[[Any], Any] = attrgetter(*names)
        if len(names) == 1:
            return lambda event: (table, (get(event),))
        return lambda event: (table, get(event))


def is_record(cls: type[Row]) -> bool:
    """Whether its rows are records: never removed, and marked with the position at which they were written last."""
    return cls.key == ("id",)


class FoldFailed(Exception):
    """A fold raised: its record is parked, with the reason."""


def fold(cls: type[Row], row: Row | None, event: Event, at: datetime) -> Row | None:
    """The row after the event; raises ``FoldFailed``."""
    function, makes = cls.folds[type(event)]
    try:
        after = typing.cast("Row | None", function(event, at) if makes else function(row, event, at))
    except Exception as error:
        raise FoldFailed(f"{event.type}: {type(error).__name__}: {error}") from error
    if after is None and is_record(cls):
        raise FoldFailed(f"{event.type}: a record ends, it is never removed")
    return after


def every_row() -> Iterator[type[Row]]:
    """Every row type of the projections, parents before the rows within them."""
    return subclasses(Row, projections)


def office(id: str) -> str:
    """The principal of those who act for an organization or a call."""
    return f"{id}{_OFFICE}"


def offices(principals: Iterable[str]) -> list[str]:
    """The ids of the organizations and calls that a viewer of these principals acts for, sorted."""
    return _ids(principals, _OFFICE)


def speaks_for(principals: Iterable[str]) -> list[str]:
    """The countries whose national authority a viewer of these principals is, sorted."""
    return sorted(each.removeprefix(_AUTHORITY) for each in principals if each.startswith(_AUTHORITY))


def tie(id: str) -> str:
    """The principal of those who have no say over what an organization stands behind; no row is read by it."""
    return f"{id}{_TIE}"


def ties(principals: Iterable[str]) -> list[str]:
    """The ids of the organizations that keep a viewer of these principals from deciding, sorted."""
    return _ids(principals, _TIE)


def _ids(principals: Iterable[str], suffix: str) -> list[str]:
    return sorted(each.removesuffix(suffix) for each in principals if each.endswith(suffix))
