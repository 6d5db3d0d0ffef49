"""Mutations: commands, carried out one after another, each answered with its receipt or its refusal.

What is asked for of each is read off its document once. A record that is asked for is read anew, by whoever the viewer
is now: the change shows, and rights that were lost count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLField, GraphQLObjectType, get_named_type
from graphql.error import located_error

from domain.core import Command, Refusal, mutation_of, record_field, tagged_fields
from hub.checking import command as checked
from hub.confirming import Unknown
from hub.waiting import Busy
from web.reads.executor import Reads
from web.reads.fallback import ENDED, Context, planned, read
from web.reads.late import missing
from web.reads.plan import Plan, written
from web.reads.recent import Recent
from web.reads.statement import Statement, asked_of
from web.schema.mutations import commands, plain


@dataclass(frozen=True)
class _Shape:
    """What is asked for of something: its fields by their keys, and the shapes of those that have fields."""

    type: str
    fields: tuple[tuple[str, str, "_Shape | None"], ...]

    def of(self, found: Any) -> Any:
        """That of it."""
        if found is None:
            return None
        if isinstance(found, list):
            return [self.of(each) for each in found]
        return {
            key: self.type if name == "__typename" else shape.of(found[name]) if shape else found[name]
            for key, name, shape in self.fields
        }


@dataclass(frozen=True)
class _Part:
    """A field of a payload: its shape, or the nodes of a record."""

    key: str
    name: str
    nodes: list[FieldNode]
    shape: _Shape | None = None
    record: GraphQLObjectType | None = None


@dataclass(frozen=True)
class _Field:
    """A mutation as it is asked for; without a command it asks what it is a field of."""

    key: str
    nodes: list[FieldNode]
    definition: GraphQLField | None = None
    command: type[Command] | None = None
    parts: tuple[_Part, ...] = ()


class Carrying:
    """Carries mutations out; one per process."""

    def __init__(self, reads: Reads) -> None:
        self._reads, self._commands = reads, commands()
        self._fields: Recent[Any, tuple[_Field, ...]] = Recent(16_000_000)

    async def carry(self, context: Context) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """The data and the errors.

        Nothing is carried out where any of it may not be. What fails later ends it: no later command is carried out,
        earlier ones stay recorded, and the error's ``recorded`` says which.
        """
        data: dict[str, Any] = {}
        errors: list[GraphQLError] = []
        recorded: dict[str, Any] = {}
        carried: list[str] = []
        asked = self._asked(context)
        for field in asked:
            if field.command is not None and (refused := _refused(context, field.command)):
                return None, [located_error(refused, field.nodes, [field.key])]
        plans: dict[tuple[str, str], Plan] = {}
        for field in asked:
            for part in field.parts:
                if part.record is not None:
                    try:
                        plans[field.key, part.key] = planned(context, part.record, part.nodes, context.viewer)
                    except Exception as error:
                        return None, [located_error(error, part.nodes, [field.key, part.key])]
        for field in asked:
            if field.command is None or field.definition is None:
                data[field.key] = "Mutation"
                continue
            try:
                if carried and not await context.still():
                    raise _failed("UNAUTHENTICATED", ENDED)
                input = context.values.args(field.definition, field.nodes[0])["input"]
                receipt, refusal, record = await _carried(context, field.command, input, len(carried))
                carried.append(field.key)
                if receipt is not None:
                    recorded[field.key] = {"position": receipt["position"], "record": record}
                payload = data[field.key] = {}
                for part in field.parts:
                    if part.record is not None:
                        payload[part.key] = (
                            None
                            if record is None
                            else await _record(context, plans[field.key, part.key], field, part, record, errors)
                        )
                    elif part.name == "__typename":
                        payload[part.key] = str(get_named_type(field.definition.type))
                    elif part.shape is not None:
                        payload[part.key] = part.shape.of(receipt if part.name == "receipt" else refusal)
            except Exception as error:
                located = located_error(error, field.nodes, [field.key])
                if recorded:
                    located.extensions = {**(located.extensions or {}), "recorded": recorded}
                return None, [*errors, located]
        return data, errors

    def _asked(self, context: Context) -> tuple[_Field, ...]:
        assert context.values.variables is not None
        # Nothing but @skip and @include changes what is asked for.
        chosen = tuple(sorted(each for each in context.values.variables.coerced.items() if isinstance(each[1], bool)))
        key = context.prepared.text, context.name, chosen
        if (known := self._fields.get(key)) is None:
            known = self._read_off(context)
            self._fields.put(key, known, context.prepared.weight)
        return known

    def _read_off(self, context: Context) -> tuple[_Field, ...]:
        statement = Statement(self._reads.schema, "", context.prepared.fragments, context.values)
        root = self._reads.schema.mutation_type
        assert root is not None
        found = []
        for key, nodes in statement.collect(root, [context.operation.selection_set]).items():
            name = nodes[0].name.value
            if name == "__typename":
                found.append(_Field(key, nodes))
                continue
            payload = get_named_type(root.fields[name].type)
            assert isinstance(payload, GraphQLObjectType)
            parts = tuple(
                _part(statement, payload, part, of) for part, of in statement.collect(payload, asked_of(nodes)).items()
            )
            found.append(_Field(key, nodes, root.fields[name], self._commands[name], parts))
        return tuple(found)


def _part(statement: Statement, payload: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> _Part:
    name = nodes[0].name.value
    if name == "__typename":
        return _Part(key, name, nodes)
    type = get_named_type(payload.fields[name].type)
    assert isinstance(type, GraphQLObjectType)
    if name not in ("receipt", "refusal"):
        return _Part(key, name, nodes, record=type)
    return _Part(key, name, nodes, _shape(statement, type, nodes))


def _shape(statement: Statement, type: GraphQLObjectType, nodes: list[FieldNode]) -> _Shape:
    fields = []
    for key, own in statement.collect(type, asked_of(nodes)).items():
        definition = type.fields.get(own[0].name.value)
        of = get_named_type(definition.type) if definition else None
        shape = _shape(statement, of, own) if isinstance(of, GraphQLObjectType) else None
        fields.append((key, own[0].name.value, shape))
    return _Shape(type.name, tuple(fields))


def _refused(context: Context, cls: type[Command]) -> GraphQLError | None:
    viewer, mutation = context.viewer, mutation_of(cls)
    if viewer.person is None:
        return _failed("UNAUTHENTICATED", "Sign in, or send a token: only who has joined can do this.")
    if not viewer.allows(mutation):
        return _failed("OUT_OF_SCOPE", f"This token was not made for `{mutation}`: nothing was carried out.")
    if context.reads.until is not None:
        return _failed("READ_ONLY", "The hub is shown as it stood: nothing can be changed here.")
    return None


def key_of(key: str, number: int = 0) -> str:
    """The key of one of the mutations of a request, which has a key for all of them."""
    return f"{key}/{number}"


async def _carried(
    context: Context, cls: type[Command], input: dict[str, Any], number: int
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, str | None]:
    # The receipt, the refusal, the record. A retry may call its answers something else: it is the same request.
    viewer, given = context.viewer, plain(cls, input)
    assert viewer.person is not None
    key = key_of(context.key, number) if context.key else None
    try:
        done = await context.hub.do(checked(cls, given), viewer.person, key)
    except Refusal as refusal:
        return None, _told(refusal, viewer.language), _meant(cls, given)
    except Busy:
        raise _failed("BUSY", "Too many commands are waiting: send this again in a moment.") from None
    except Unknown:
        words = "Whether this was recorded is not known: send it again with the same Idempotency-Key to find out."
        raise _failed("UNKNOWN", words) from None
    receipt = {"position": done.position, "at": written(done.at), "record": done.record, "events": done.events}
    return receipt, None, done.record


def _meant(cls: type[Command], given: Mapping[str, Any]) -> str | None:
    # The record that a command was given about, where what was sent is an id of one.
    own = record_field(cls)
    id = given.get(own) if own else None
    kind = next((kind for name, kind, _ in tagged_fields(cls) if name == own), None)
    return id if isinstance(id, str) and kind is not None and kind.admits(id) and "\0" not in id else None


def _told(refusal: Refusal, language: str) -> dict[str, Any]:
    every = [missing(each, language) for each in refusal.every]
    first = every[0]
    return {"code": first["code"], "message": first["message"], "field": first["about"], "missing": every}


async def _record(context: Context, plan: Plan, field: _Field, part: _Part, id: str, errors: list[GraphQLError]) -> Any:
    try:
        viewer = await context.again()
        return await read(context, plan, id, viewer)
    except Exception as error:
        # It was recorded all the same: the receipt is beside this.
        errors.append(located_error(error, part.nodes, [field.key, part.key]))
        return None


def _failed(code: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
