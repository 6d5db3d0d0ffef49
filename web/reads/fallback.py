"""What is not one SQL statement, nor a command: subscriptions and introspection, on graphql-core.

Their rows come from the same compiler: a root field is compiled whole, and what it answered is walked by response key.
"""

import dataclasses
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)

from domain.core import kind_named, record_of
from hub.door import Hub
from hub.tables import TABLES
from projections.core import is_record
from web.live import Live
from web.reads.compiler import Compiler
from web.reads.documents import Prepared
from web.reads.executor import Reads
from web.reads.fitting import fitting
from web.reads.making import Reading
from web.reads.mapping import snake, table_of, type_of
from web.reads.measuring import MAX_COST, MAX_COST_HEARD, within_cost
from web.reads.plan import Plan, Values
from web.reads.statement import Statement, asked_of
from web.reads.viewer import Viewer, Viewers

ENDED = "What let you in has ended: sign in again."


@dataclass
class Place:
    """Where in the log a subscription goes on, the position of what was told last without an error, and the address
    that somebody listens from.
    """

    position: int | None = None
    told: int | None = None
    address: str = ""


@dataclass(frozen=True)
class Context:
    """One request, as resolvers see it."""

    reads: Reads
    viewers: Viewers
    viewer: Viewer
    secret: str | None
    prepared: Prepared
    operation: OperationDefinitionNode
    name: str
    values: Values
    key: str | None = None
    live: Live | None = None
    place: Place = dataclasses.field(default_factory=Place)

    @property
    def hub(self) -> Hub:
        """The hub that is asked."""
        return self.reads.hub

    async def still(self) -> bool:
        """Whether what was shown lets anybody in: it may have been ended since."""
        return self.viewer.access is None or await self.hub.identity.holds(self.viewer.access.id)

    async def again(self) -> Viewer:
        """Whoever asked, as they are now, with no more rights than what they showed opens."""
        return await self.viewers.person(self.viewer.person, self.viewer.language, self.viewer.access)


class Made(dict[str, Any]):
    """A value that was made here: its keys are fields, not response keys."""


def wire(schema: GraphQLSchema) -> GraphQLSchema:
    """Give every field of the schema its resolver, and the scalars their meaning."""
    for type in schema.type_map.values():
        if isinstance(type, GraphQLInterfaceType):
            type.resolve_type = _type_of
        if isinstance(type, GraphQLObjectType) and not type.name.startswith("__"):
            for field in type.fields.values():
                field.resolve = _by_key
    assert schema.query_type and schema.subscription_type
    for field in schema.query_type.fields.values():
        field.resolve = _root
    for name, field in schema.subscription_type.fields.items():
        field.subscribe = _changes(name)
        field.resolve = _change
        _link(field.type)
    for name, parse in (("DateTime", _date_time), ("Date", _date)):
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        scalar.parse_value = parse  # type: ignore[method-assign]
        scalar.coerce_input_value = parse
    return schema


def _link(payload: Any) -> None:
    type = get_named_type(payload)
    assert isinstance(type, GraphQLObjectType)
    for field in type.fields.values():
        of = get_named_type(field.type)
        if isinstance(of, GraphQLInterfaceType) or table_of(of) is not None:
            field.resolve = _linked


def _type_of(value: Any, *_: Any) -> str:
    return str(value["__typename"])


def _by_key(source: Any, info: GraphQLResolveInfo, **_: Any) -> Any:
    if isinstance(source, Made):
        return source[info.field_name]
    return source.get(info.path.key)


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _date_time(value: Any) -> datetime:
    try:
        if not _RFC3339.fullmatch(value):
            raise TypeError(value)
        return datetime.fromisoformat(value.upper())
    except (TypeError, ValueError):
        raise ValueError("a date and time with a zone is asked for: 2027-03-01T09:00:00Z (RFC 3339)") from None


def _date(value: Any) -> date:
    try:
        if not _FULL_DATE.fullmatch(value):
            raise TypeError(value)
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("a date is asked for: 2027-03-01") from None


async def _root(source: Any, info: GraphQLResolveInfo, **_: Any) -> Any:
    context: Context = info.context
    key = str(info.path.key)
    plan = context.reads.plan(context.prepared, context.operation, context.name, context.values, only=key)
    bound = await context.reads.found(plan, context.values, context.viewer)
    return msgspec.json.decode(await context.reads.data(bound, context.viewer))[key]


def planned(
    context: Context,
    type: GraphQLObjectType,
    nodes: Sequence[FieldNode],
    viewer: Viewer,
    *,
    named: bool = False,
    most: int = MAX_COST,
) -> Plan:
    """How what these nodes ask for of one record is read; raises what is wrong with it, or that it costs too much."""
    reads, values = context.reads, _of_record(context, "", viewer)
    compiler = Compiler(reads.schema, reads.hub.models.schema, context.prepared.fragments, values, named=named)
    plan = compiler.standing(type, asked_of(nodes))
    within_cost(plan.costs(values), most)
    return plan


async def read(context: Context, plan: Plan, id: Any, viewer: Viewer) -> Any:
    """What was planned, of the record with this id."""
    return await Reading(context.reads, viewer).run(plan, _of_record(context, id, viewer))


def _of_record(context: Context, id: Any, viewer: Viewer) -> Values:
    return Values(context.values.variables, viewer.person, viewer.principals, (id,), viewer.language)


class Unread(Exception):
    """What happened may not be read any more at the moment at which it would be told."""


async def _linked(source: Made, info: GraphQLResolveInfo) -> Any:
    # Read anew, by whoever the viewer is now: the change shows, and rights that were lost count.
    id = source.get(info.field_name)
    if id is None:
        return None
    context: Context = info.context
    viewer = source.get("viewer") or await context.again()
    type = get_named_type(info.return_type)
    if isinstance(type, GraphQLInterfaceType):
        type = info.schema.type_map[type_of(kind_named(id))]
    assert isinstance(type, GraphQLObjectType)
    plan = planned(context, type, info.field_nodes, viewer, named=True, most=MAX_COST_HEARD)
    found = await read(context, plan, id, viewer)
    if found is None and isinstance(info.return_type, GraphQLNonNull):
        raise Unread
    return found


def _changes(name: str) -> Any:
    field_of = "record" if name == "happened" else name.removesuffix("Changed")
    kind = snake(field_of)

    async def subscribe(source: Any, info: GraphQLResolveInfo, **args: Any) -> AsyncIterator[Made]:
        context: Context = info.context
        assert context.live is not None
        _within_cost(context, info)
        field = info.schema.subscription_type.fields[name]  # type: ignore[union-attr]
        if "id" in args:
            fitting("record", "id", args["id"], info.field_nodes[0])
        elif kind != "record":
            # A filter that nothing could meet is a mistake, said now and not whenever something happens.
            viewer = context.viewer
            own = Values(context.values.variables, viewer.person, viewer.principals, ("", 0), viewer.language)
            compiler = Compiler(context.reads.schema, context.hub.models.schema, {}, own)
            for bind in compiler.happening(field, info.field_nodes[0], kind).binders:
                bind(own)
        after = args.get("after") if context.place.position is None else context.place.position
        async for recorded in context.live.follow(after, context.viewer.person, context.place.address):
            about = record_of(recorded.event)
            of = kind_named(about)
            # The seal of a read model, say, is nobody's record: it happens, and that is all.
            table = of if of in TABLES and is_record(TABLES[of]) else None
            if about != args.get("id", about) or kind not in ("record", of) or (table is None and kind != "record"):
                continue
            # A hub of another version may have recorded it: what is read here is brought up to it first.
            await context.hub.writer.reach(recorded.position)
            viewer = await context.viewers.find(context.secret, context.viewer.language)
            if context.viewer.person and viewer.person != context.viewer.person:
                raise GraphQLError(ENDED, extensions={"code": "UNAUTHENTICATED"})
            values = Values(
                context.values.variables, viewer.person, viewer.principals, (about, recorded.position), viewer.language
            )
            compiler = Compiler(context.reads.schema, context.hub.models.schema, {}, values)
            # Who hears of events alone hears of those that `activity` lists, whether or not they read the record.
            plan = compiler.happening(field, info.field_nodes[0], None if kind == "record" else table)
            bound = [bind(values) for bind in plan.binders]
            if await context.hub.log.pool.fetchval(plan.sql, viewer.list, *bound):
                context.place.position = recorded.position
                yield Made(event=recorded.position, viewer=viewer, **{field_of: about if table else None})

    return subscribe


def _within_cost(context: Context, info: GraphQLResolveInfo) -> None:
    # What each event will cost is known before the first one: it is refused now, and not whenever something happens.
    payload = get_named_type(info.return_type)
    assert isinstance(payload, GraphQLObjectType)
    statement = Statement(info.schema, "", context.prepared.fragments, context.values)
    for name, nodes in (
        (each[0].name.value, each) for each in statement.collect(payload, asked_of(info.field_nodes)).values()
    ):
        if name == "__typename":
            continue
        type = get_named_type(payload.fields[name].type)
        possible = info.schema.get_possible_types(type) if isinstance(type, GraphQLInterfaceType) else [type]
        for each in possible:
            if isinstance(each, GraphQLObjectType) and table_of(each) is not None:
                planned(context, each, nodes, context.viewer, named=True, most=MAX_COST_HEARD)


def _change(source: Made, info: GraphQLResolveInfo, **args: Any) -> Made:
    return source
