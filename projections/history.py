"""The events of records, as far as each reader may see them."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache

from domain.core import Event, Kind, OrganizationId, PersonId, record_of, tagged_fields
from projections.core import AUDITORS, PUBLIC, Row, is_record


class EntryRow(Row, table="entry", key=("position",), index=("record position",)):
    """An event in the history of its record; ``organization`` is another record that it names, ``person`` somebody
    besides who did it.

    Its readers are those who could read what it changed, at that time, and have been able to read its record since.
    That they read it no more is told to those who did.
    """

    position: int
    record: str
    organization: OrganizationId | None
    person: PersonId | None
    type: str
    actor: PersonId
    at: datetime
    readers: tuple[str, ...]


_PERSON = Kind("person")


@cache
def _people_of(cls: type[Event]) -> tuple[str, ...]:
    return tuple(name for name, kind, many in tagged_fields(cls) if kind == _PERSON and not many)


def concerned(before: Row | None, after: Row | None) -> tuple[str, ...]:
    """Who is concerned by what became of a row: who reads it then, and whoever read a record until then.

    That somebody reads it no more is the last that they hear of it.
    """
    left, now = getattr(before, "readers", ()), getattr(after or before, "readers", ())
    if before is None or left == now or not is_record(type(before)):
        return now
    return tuple(sorted({*left, *now}))


def entry(event: Event, position: int, actor: str, at: datetime, concerned: Iterable[tuple[str, ...]]) -> EntryRow:
    """The entry of an event; ``concerned`` are the readers of each row that it was folded into.

    Only who reads all of these rows sees the event, and auditors, who see every one: of people it holds ids alone.
    """
    record, organization = record_of(event), getattr(event, "organization", None)
    named = (getattr(event, name) for name in _people_of(type(event)))
    person = next((each for each in named if each not in (None, record, actor)), None)
    return EntryRow(
        position=position,
        record=record,
        organization=None if organization == record else organization,
        person=person,
        type=event.type,
        actor=actor,
        at=at,
        readers=_all_of(*concerned),
    )


@lru_cache(10_000)
def _all_of(*concerned: tuple[str, ...]) -> tuple[str, ...]:
    sets = [*map(frozenset, concerned)]
    # What everybody reads keeps it from nobody.
    sets = [each for each in sets if PUBLIC not in each] or sets
    return tuple(sorted({AUDITORS, *(frozenset.intersection(*sets) if sets else ())}))
