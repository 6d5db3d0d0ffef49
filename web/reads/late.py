"""Values that SQL cannot know: opened personal data, actions, words, and records as they once stood."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, get_named_type

from domain.core import (
    HUB,
    N_,
    Refusal,
    Sealed,
    every_event,
    kind_named,
    mutation_of,
    record_field,
    says,
    sentence,
    stored_names,
)
from hub.audit.following import state
from hub.audit.seals import EventSeal, seals
from hub.reading import readable
from hub.tables import TABLES
from projections.core import AUDITORS, CENTER, PUBLIC, is_record
from projections.history import EntryRow
from web.reads.plan import Late, Values, written
from web.reads.statement import Statement, asked_of
from web.schema.mutations import camel
from web.words import translated

if TYPE_CHECKING:
    from web.reads.making import Reading

ERASED, UNREADABLE = N_("erased"), N_("unreadable")
"""What stands for a personal value: its person was erased; or its key or box is not here, as after a loss."""
Loader = Callable[["Reading", Late, Sequence[list[Any]], Values], Awaitable[list[Any]]]
LOADERS: dict[str, Loader] = {}
SAYS = {name: says(event) for event in every_event() for name in stored_names(event)}


def loads(loader: Loader) -> Loader:
    """Load late fields: those whose ``@late`` names what is decorated, or that are called as it is. One call is for all
    places in an answer. A name is one loader's: whoever takes it again is told.
    """
    if loader.__name__ in LOADERS:
        raise ValueError(f"something called {loader.__name__} is loaded already")
    LOADERS[loader.__name__] = loader
    return loader


@loads
async def personal(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """A personal value in plain; what was erased says so."""
    field = late.node.name.value
    wanted = [(id, field, msgspec.convert(sealed, Sealed)) for id, sealed in items if sealed is not None]
    found = iter(await reading.hub.vault.read(reading.hub.log.pool, wanted))
    language = reading.viewer.language
    absent = translated(ERASED, language) if field == "name" else None
    lost = translated(UNREADABLE, language)
    return [absent if sealed is None else (next(found) or lost) for _, sealed in items]


@loads
async def own(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """What everybody chose for themselves is theirs alone."""
    person = reading.viewer.person
    return [(value.upper() if isinstance(value, str) else value) if id == person else None for id, value in items]


async def _names(reading: "Reading", ids: Sequence[str]) -> dict[str, str]:
    language = reading.viewer.language
    # Past the readers of the person's own row: whoever calls this has made sure that the viewer may know the name.
    rows = await reading.hub.log.pool.fetch(
        f"SELECT id, name::text FROM {reading.hub.models.schema}.person WHERE id = ANY($1)", list(set(ids))
    )
    held = [(row["id"], "name", msgspec.json.decode(row["name"], type=Sealed)) for row in rows if row["name"]]
    found = await reading.hub.vault.read(reading.hub.log.pool, held)
    known = {id: name or translated(UNREADABLE, language) for (id, _, _), name in zip(held, found, strict=True)}
    return {id: known.get(id) or translated(ERASED, language) for id in ids}


@loads
async def investigator_name(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Who may read a proposal may know who leads it."""
    names = await _names(reading, [id for (id,) in items])
    return [names[id] for (id,) in items]


@loads
async def actor_name(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """Who takes part in a record, and may read it now, may know who acted in it; the public may not. Whoever knows
    everybody may know it too, and everybody what they did themselves.
    """
    own = reading.viewer.principals - {PUBLIC, AUDITORS}
    mine = {reading.viewer.person} if CENTER not in own else {actor for actor, *_ in items} - {HUB}
    parts = [(actor, record) for actor, readers, record in items if own.intersection(readers) and actor != HUB]
    if not parts and mine.isdisjoint(actor for actor, *_ in items):
        return [None] * len(items)
    # What somebody hears last of a record is that they lost it: what its people are called later is not for them.
    names, shown = await asyncio.gather(
        _names(reading, [*(actor for actor, _ in parts), *(actor for actor, *_ in items if actor in mine)]),
        _readable(reading, {record for _, record in parts}),
    )
    known = {part for part in parts if part[1] in shown}
    return [
        names[actor] if actor in mine or ((actor, record) in known and own & {*readers}) else None
        for actor, readers, record in items
    ]


async def _readable(reading: "Reading", records: set[str]) -> set[str]:
    # Those of these records that the viewer may read now.
    by_table: dict[str, list[str]] = {}
    for id in records:
        by_table.setdefault(kind_named(id), []).append(id)
    schema, found = reading.hub.models.schema, set[str]()
    for table, ids in by_table.items():
        if (cls := TABLES.get(table)) is not None and is_record(cls):
            sql = f"SELECT t.id {readable(schema, cls, filtered=True)} AND t.id = ANY($2)"
            found |= {row[0] for row in await reading.hub.log.pool.fetch(sql, sorted(reading.viewer.principals), ids)}
    return found


@loads
async def words(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """What an event says, in the viewer's language."""
    return [translated(SAYS.get(type, type), reading.viewer.language) for (type,) in items]


@loads
async def actions(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """What the viewer may do with each record."""
    person, language = reading.viewer.person, reading.viewer.language
    of = get_named_type(late.definition.type)
    found: list[Any] = []
    newest = max(reading.viewer.positions.values(), default=0)
    allowed: Iterable[Any] = ([] for _ in items)
    if person and not reading.read_only:
        # Together: what has to be read of one record is read while others are thought about.
        allowed = await asyncio.gather(*(reading.hub.actions(person, id, newest) for (id,) in items))
    for may in allowed:
        every = []
        for action in may:
            name = action.command.__name__
            refusal = action.refusal
            made = {
                "mutation": mutation_of(action.command),
                "title": translated(sentence(name), language),
                "description": translated((action.command.__doc__ or "").strip(), language),
                "available": refusal is None,
                "reason": refusal and translated(refusal.message, language, refusal.values),
                "code": refusal and refusal.reason.value,
                "final": action.command.final,
                "missing": [missing(each, language) for each in (refusal.every if refusal else ())],
                "fixed": [missing(each, language) for each in action.fixed],
                "needs": [camel(each) for each in action.needs if each != record_field(action.command)],
            }
            every.append(project(reading, of, late, made, values))
        found.append(every)
    return found


def missing(refusal: Refusal, language: str) -> dict[str, Any]:
    """What stands in the way, as the API says it."""
    return {
        "code": refusal.reason.value,
        "message": translated(refusal.message, language, refusal.values),
        "about": refusal.field and camel(refusal.field),
    }


@loads
async def hub(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """The hub as it runs now."""
    pool, schema = reading.hub.log.pool, reading.hub.models.schema
    row = await pool.fetchrow(
        f"""SELECT (SELECT coalesce(max(position), 0) FROM hub.event) AS head, version() AS engine,
                   (SELECT at FROM {schema}.position) AS at, (SELECT count(*) FROM {schema}.parked) AS parked,
                   (SELECT id FROM hub.epoch) AS epoch"""
    )
    assert row is not None
    sealing = await state(pool)
    # As of before anything else was read: whoever goes on from here has missed nothing of what stands beside.
    at = min(row["at"], reading.viewer.at)
    made = {
        "head": at if reading.read_only else at + row["head"] - row["at"],
        "epoch": row["epoch"],
        "rights": hashlib.sha256("\n".join(sorted(reading.viewer.principals)).encode()).hexdigest()[:16],
        "version": version("central-asia-ai-hub"),
        "readOnly": reading.read_only,
        "engine": " ".join(row["engine"].split()[:2]),
        "readModelsPosition": at,
        "parked": row["parked"],
        "treeSize": sealing["tree"],
        "sealedTo": sealing["sealed"],
        "sealWaitsSince": sealing["waits_since"] and written(sealing["waits_since"]),
        "witnessesAsked": sealing["asked"],
        "key": sealing["key"],
        "stopped": sealing["stopped"] or None,
        "troubles": sealing["troubles"],
    }
    return [project(reading, get_named_type(late.definition.type), late, made, values) for _ in items]


@loads
async def seal(reading: "Reading", late: Late, items: Sequence[list[Any]], values: Values) -> list[Any]:
    """How events are sealed; of a record its newest event that the viewer may see."""
    pool, positions = reading.hub.log.pool, [each for (each,) in items]
    if late.parent.name != "Event":
        own = readable(reading.hub.models.schema, EntryRow, filtered=True)
        rows = await pool.fetch(
            f"""SELECT (SELECT max(position) {own} AND record = wanted.id) AS position
                FROM unnest($2::text[]) WITH ORDINALITY AS wanted (id, n) ORDER BY n""",
            reading.viewer.list,
            positions,
        )
        positions = [row["position"] for row in rows]
    known = {each.position: each for each in await seals(pool, [at for at in positions if at is not None])}
    of = get_named_type(late.definition.type)
    return [None if at is None else project(reading, of, late, _sealed(known[at]), values) for at in positions]


def _sealed(found: EventSeal) -> dict[str, Any]:
    return {
        "position": found.position,
        "status": "SEALED" if found.witnessed and found.asked else "SIGNED" if found.size else "RECORDED",
        "sealedAt": found.at and written(found.at),
        "size": found.size,
        "witnesses": [{"name": name, "at": written(at)} for name, at in found.witnesses],
        "asked": found.asked,
        "proof": f"/log/proof/{found.position}",
    }


def project(reading: "Reading", type: Any, late: Late, made: dict[str, Any], values: Values) -> dict[str, Any]:
    """The selected part of a value that was made here, under the keys of the response."""
    statement = Statement(reading.schema, "", late.fragments, values)
    return _projected(statement, type, late.selections, made)


def _projected(statement: Statement, type: Any, selections: Any, made: Any) -> Any:
    while isinstance(type, GraphQLNonNull):
        type = type.of_type
    if isinstance(type, GraphQLList):
        return [_projected(statement, type.of_type, selections, each) for each in made]
    if not isinstance(type, GraphQLObjectType) or made is None:
        return made
    found = {}
    for key, nodes in statement.collect(type, selections).items():
        name = nodes[0].name.value
        inner = asked_of(nodes)
        if name == "__typename":
            found[key] = type.name
        else:
            found[key] = _projected(statement, type.fields[name].type, inner, made[name])
    return found
