"""What events changed of what is said of their records: each part, before and after."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import get_named_type

from domain.core import State, every_command, every_state, kind_named, meta_of, stored_names
from domain.deciding import records
from hub.checking import choices_of
from web.reads.late import loads, project
from web.reads.plan import Late, Values, written
from web.schema.mutations import camel
from web.words import translated

if TYPE_CHECKING:
    from web.reads.making import Reading


LONG = 100
"""From so many events on before those that are told, what they came to is kept."""


@cache
def _changing() -> frozenset[str]:
    return stored_names(*(event for state in every_state() for event in state.changed_by))


@cache
def _parts(state: type[State]) -> dict[str, tuple[str, bool]]:
    # What each part is called in a form, and whether its values are those of an enum.
    return {
        field.name: (str(meta_of(field.type).get("title", "")), bool(choices_of(field.type)))
        for command in every_command()
        if command.on is state
        for field in msgspec.structs.fields(command)
        if field.name in state().says()
    }


@loads
async def changes(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Whoever may read an event could read what it changed, before it and after: no change lets others read."""
    found, of = await _found(reading, items), get_named_type(late.definition.type)
    return [[project(reading, of, late, each, values) for each in found.get(position, ())] for _, position, _ in items]


@loads
async def changed(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """The names of what events changed."""
    found = await _found(reading, items)
    return [[each["name"] for each in found.get(position, ())] for _, position, _ in items]


async def _found(reading: "Reading", items: Sequence[list[Any]]) -> dict[int, list[dict[str, Any]]]:
    wanted: dict[str, set[int]] = {}
    for type, position, record in items:
        if type in _changing():
            wanted.setdefault(record, set()).add(position)
    found: dict[int, list[dict[str, Any]]] = {}
    for record, positions in wanted.items():
        found |= await _changes(reading, record, positions)
    return found


async def _changes(reading: "Reading", record: str, positions: set[int]) -> dict[int, list[dict[str, Any]]]:
    cls = records()[kind_named(record)]
    first, last, kept = min(positions), max(positions), reading.reads.before
    at, state = kept.get(record, (0, cls()))
    if at >= first:
        at, state = 0, cls()
    found: dict[int, list[dict[str, Any]]] = {}
    passed = 0
    async for each in reading.hub.log.history(record, cls.types, at):
        if each.position > last:
            break
        if each.position < first:
            at, passed = each.position, passed + 1
        elif passed >= LONG:
            # Whoever asks again, as each change makes people do, begins from here.
            kept[record] = at, state
            kept.move_to_end(record)
            kept.trim()
            passed = 0
        evolved = state.evolve(each.event)
        if each.position in positions and state.status:
            found[each.position] = [*_differing(cls, state, evolved, reading.viewer.language)]
        state = evolved
    return found


def _differing(cls: type[State], before: State, after: State, language: str) -> Iterator[dict[str, Any]]:
    old = before.says()
    for name, new in after.says().items():
        if new != old[name]:
            title, enum = _parts(cls)[name]
            yield {
                "field": camel(name),
                "name": translated(title, language),
                "before": _told(old[name], enum),
                "after": _told(new, enum),
            }


def _told(value: Any, enum: bool) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "\n".join(map(str, value))
    return str(value).upper() if enum else str(value)
