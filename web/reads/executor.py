"""Runs compiled operations: documents and plans are cached, answers are kept for as long as nothing changed."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLID,
    GraphQLSchema,
    GraphQLString,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    parse,
    validate,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from hub.door import Hub
from hub.pool import Pool
from web.reads.compiler import Compiler
from web.reads.plan import Plan, Values
from web.reads.totals import Counting
from web.reads.viewer import Viewer, Viewers

K = TypeVar("K")
V = TypeVar("V")
MAX_TOKENS, MAX_DEPTH, MAX_ALIASES, MAX_COST, MAX_ERRORS = 4_000, 14, 60, 20_000, 10
MAX_COST_HEARD = 2_000
"""What is asked for of each event that somebody listens to costs at most this: there may be many of them."""
TIMEOUT = 5.0
_PLAIN = {GraphQLID: str, GraphQLString: str, GraphQLBoolean: bool}
FEW = 4
"""An enum with so many values has few."""


class Recent(Generic[K, V]):
    """The values that were used last, as many as fit."""

    def __init__(self, size: int) -> None:
        self._size, self._total = size, 0
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is here."""
        if (found := self._held.get(key)) is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def __contains__(self, key: K) -> bool:
        return key in self._held

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; the one unused for longest gives way."""
        if (old := self._held.pop(key, None)) is not None:
            self._total -= old[1]
        self._held[key] = value, weight
        self._total += weight
        while self._total > self._size:
            _, (_, gone) = self._held.popitem(last=False)
            self._total -= gone


@dataclass(frozen=True)
class Prepared:
    """A document that was parsed and validated; ``errors`` says what is wrong with it."""

    text: str
    document: DocumentNode | None
    errors: tuple[GraphQLError, ...]
    parsed: bool
    operations: Mapping[str, OperationDefinitionNode] = field(default_factory=dict)
    fragments: Mapping[str, FragmentDefinitionNode] = field(default_factory=dict)
    plain: Mapping[str, Mapping[str, tuple[GraphQLVariableSignature, type]]] = field(default_factory=dict)

    def as_they_are(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> VariableValues | None:
        """The coerced variables where coercing changes nothing: all are there, and of a plain type; else ``None``."""
        plain = self.plain.get(operation.name.value if operation.name else "")
        if plain is None or len(given) != len(plain):
            return None
        sources = {}
        for name, (signature, cls) in plain.items():
            value = given.get(name)
            if type(value) is not cls:
                return None
            sources[name] = VariableValueSource(signature, value)
        return VariableValues(sources, dict(given))

    @cached_property
    def introspects(self) -> bool:
        """Whether the schema itself may be asked for."""
        return re.search(r"__(schema|type)\b", self.text) is not None


class Bound(NamedTuple):
    """A plan with the values of one request; its answer is the same for as long as the ``key`` is."""

    plan: Plan
    values: Values
    given: list[Any]
    key: Any


def limited(code: str, message: str) -> GraphQLError:
    """An excess: which, and how much is allowed."""
    return GraphQLError(message, extensions={"code": code})


def too_slow() -> GraphQLError:
    """What took too long."""
    return limited("TOO_SLOW", f"This took longer than {TIMEOUT:.0f} seconds: ask for less at once.")


def within_cost(cost: int, most: int = MAX_COST) -> None:
    """Refuse what would read too much, before anything is read."""
    if cost > most:
        raise limited("TOO_COSTLY", f"This costs {cost:,}; at most {most:,} is allowed: ask for fewer at once.")


class Reads:
    """One per process: the schema, its cached documents, plans and answers."""

    def __init__(self, hub: Hub, schema: GraphQLSchema, until: int | None = None, answers: int = 0) -> None:
        self.hub, self.schema, self.until = hub, schema, until
        self._documents: Recent[str, Prepared] = Recent(8_000_000)
        self._plans: Recent[Any, Plan] = Recent(2_000)
        self._answers: Recent[Any, tuple[Plan, bytes]] = Recent(answers - answers // 4)
        self.keeps = answers > 0
        self.kept: Recent[Any, Any] = Recent(answers // 4)
        self.counting = Counting(self)
        self._flights: dict[Any, asyncio.Future[tuple[Plan, bytes]]] = {}
        self._asking: set[Any] = set()
        self._whole: Recent[int, str] = Recent(2_000)

    def prepare(self, text: str) -> Prepared:
        """Parse and validate a document, once."""
        if (known := self._documents.get(text)) is None:
            known = self._prepare(text)
            self._documents.put(text, known, len(text) + 1_000)
        return known

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(text, max_tokens=MAX_TOKENS, allow_empty_selection_sets=False)
        except GraphQLError as error:
            return Prepared(text, None, (error,), parsed=False)
        except RecursionError:
            return Prepared(text, None, (limited("TOO_DEEP", "The document is nested too deeply."),), parsed=False)
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        operations = {
            d.name.value if d.name else "": d for d in document.definitions if isinstance(d, OperationDefinitionNode)
        }
        try:
            errors = tuple(validate(self.schema, document, max_errors=MAX_ERRORS, hide_suggestions=False))
            errors = errors or tuple(_excess(operations.values(), fragments))
        except RecursionError:
            errors = (limited("TOO_DEEP", "The document is nested too deeply."),)
        plain = {} if errors else {name: _plain(self.schema, each) for name, each in operations.items()}
        every = {name: found for name, found in plain.items() if found is not None}
        return Prepared(text, document, errors, True, operations, fragments, every)

    def values(
        self, prepared: Prepared, operation: OperationDefinitionNode, given: dict[str, Any], viewer: Viewer
    ) -> Values:
        """The values of a viewer's request; raises the first ``GraphQLError``."""
        variables = self._variables(prepared, operation, given)
        values = Values(variables, viewer.person, viewer.principals, language=viewer.language)
        values.narrow = viewer.narrow
        return values

    def _variables(
        self, prepared: Prepared, operation: OperationDefinitionNode, given: dict[str, Any]
    ) -> VariableValues:
        if (known := prepared.as_they_are(operation, given)) is not None:
            return known
        coerced = get_variable_values(self.schema, operation.variable_definitions or (), given, max_errors=MAX_ERRORS)
        if isinstance(coerced, list):
            for error in coerced:
                error.extensions = {**(error.extensions or {}), "code": "BAD_INPUT"}
            raise coerced[0]
        return coerced

    def plan(
        self, prepared: Prepared, operation: OperationDefinitionNode, name: str, values: Values, only: str = ""
    ) -> Plan:
        """The plan of an operation (or of one of its root fields), compiled where it is not known yet."""
        assert values.variables is not None
        sources = values.variables.sources
        shapes = tuple(
            (name, self._shape(sources[name].signature.type, value))
            for name, value in sorted(values.variables.coerced.items())
        )
        key = prepared.text, name, shapes, only, values.narrow, values.language
        if (plan := self._plans.get(key)) is None:
            lean = partial(self._compiled, prepared, operation, only)
            values.empty = frozenset()
            plan = replace(lean(values), lean=lean)
            self._plans.put(key, plan)
        return plan

    def _compiled(self, prepared: Prepared, operation: OperationDefinitionNode, only: str, values: Values) -> Plan:
        compiler = Compiler(self.schema, self.hub.models.schema, prepared.fragments, values, named=bool(only))
        root = self.schema.query_type
        assert root is not None
        selections = [operation.selection_set]
        if only:
            nodes = compiler.collect(root, selections)[only]
            selections = [SelectionSetNode(selections=tuple(nodes))]
        return compiler.operation(root, selections)

    def _lean(self, plan: Plan, values: Values, totals: Sequence[int]) -> Plan:
        # Of many lists most are empty: a statement that does not ask for them is planned in a fraction of the time.
        values.totals = totals
        values.empty = frozenset(n for n, count in enumerate(totals) if not count)
        if not values.empty or plan.lean is None:
            return plan
        key = plan.number, values.empty
        if (known := self._plans.get(key)) is None:
            known = plan.lean(values)
            self._plans.put(key, known)
        return known

    def _shape(self, type: Any, value: Any) -> Any:
        # What the text of a statement depends on: which values are null, booleans (@skip), enums (the order), lists of
        # an enum that has few (the kinds that are searched).
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            inner = getattr(get_named_type(type), "fields", {})
            return tuple(
                (name, self._shape(inner[name].type if name in inner else None, each))
                for name, each in sorted(value.items())
            )
        named = get_named_type(type)
        if isinstance(value, list):
            few = isinstance(named, GraphQLEnumType) and len(named.values) <= FEW
            return frozenset(value) if few else ()
        return value if isinstance(named, GraphQLEnumType) else ""

    async def data(self, bound: Bound, viewer: Viewer) -> bytes:
        """The finished JSON of ``data``."""
        within_cost(bound.plan.costs(bound.values))
        try:
            # Nobody waits longer than this: what is not done by then gives its connection back.
            async with asyncio.timeout(TIMEOUT):
                plan, answer = await self._stable(bound, viewer)
                if not plan.volatile:
                    return answer
                # What depends on the clock or on the whole hub is made anew over what does not.
                data = await Reading(self, viewer).fill(plan, msgspec.json.decode(answer), bound.values, volatile=True)
                return msgspec.json.encode(data)
        except TimeoutError:
            raise too_slow() from None

    async def _stable(self, bound: Bound, viewer: Viewer) -> tuple[Plan, bytes]:
        # The answer but for its volatile values, whose places are left as the plan says that comes with it: both are
        # kept until a table changes.
        key = bound.key
        while True:
            if (known := self._answers.get(key)) is not None:
                return known
            if (flight := self._flights.get(key)) is None:
                break
            # Somebody asks for it already. Where they give up, who waits asks for it.
            await asyncio.wait((flight,))
            if not flight.cancelled():
                return flight.result()
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._fetch(bound, viewer)
            flight.set_result(answer)
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # perhaps nobody waits for it
            raise
        finally:
            del self._flights[key]
            flight.cancel()
        self._answers.put(key, answer, len(answer[1]) + 500)
        return answer

    def pool(self, plan: Plan, viewer: Viewer) -> Pool:
        """Where a viewer's statement is planned best."""
        by_values = plan.by_words or not plan.walks <= viewer.narrow
        return self.hub.log.counting if by_values else self.hub.log.pool

    async def once(self, key: Any, make: Callable[[], Awaitable[Any]]) -> Any:
        """A value that is the same for everybody; it is made once for a key."""
        if (found := self.kept.get(key)) is None:
            found = await make()
            self.kept.put(key, found, 5_000)
        return found

    def answer(self, key: Any) -> bytes | None:
        """The finished JSON of ``data`` that is kept under a key, if it depends on nothing but tables."""
        known = self._answers.get(key)
        return known[1] if known is not None and not known[0].volatile else None

    @staticmethod
    def bound(plan: Plan, values: Values, viewer: Viewer) -> Bound:
        """A plan with its values; totals are not known yet."""
        values.totals = [None] * sum(len(each.numbers) for each in plan.totals)
        values.constant = plan.constant
        given = [bind(values) for bind in plan.binders]
        # A late value may depend on the document and on arguments that the statement does not bind.
        every = given if not plan.late else [given, values.variables.coerced if values.variables else None]
        what = plan.number if plan.late else plan.sql
        key = what, msgspec.json.encode(every), viewer.key, viewer.position(plan.tables)
        return Bound(plan, values, given, key)

    def asks(self, key: Any) -> bool:
        """Whether the answer under a key is being asked for ``at_once``: who looks first may share what comes."""
        return key in self._asking

    async def at_once(self, bound: Bound, guess: Viewer, viewers: Viewers, shown: str) -> bytes | None:
        """The finished JSON of ``data``, asked for together with who asks: one round trip.

        ``None`` where the guess was wrong, or where more than one statement is needed.
        """
        plan, values, given = bound.plan, bound.values, bound.given
        if plan.volatile or (totals := self.counting.known(plan, values, guess)) is None:
            return None
        within_cost(plan.costs(values))
        lean = self._lean(plan, values, totals)
        if plan.totals:
            given = [bind(values) for bind in lean.binders]
        if (sql := self._whole.get(lean.number)) is None:
            sql = viewers.beside(lean.sql, len(given) + 1)
            self._whole.put(lean.number, sql)
        self._asking.add(bound.key)
        try:
            row = await self.pool(plan, guess).fetchrow(sql, guess.list, *given, guess.at, shown, timeout=TIMEOUT)
            assert row is not None
            viewer = await viewers.beheld(row, shown, guess)
            # One statement sees one state of the database: the data are those of this viewer, or thrown away.
            if viewer is None or (
                viewer is not guess
                and (
                    viewer.key != guess.key
                    or any(viewer.position(each.tables) != guess.position(each.tables) for each in plan.totals)
                )
            ):
                return None
            answer: bytes = row[0]
            if lean.late:
                async with asyncio.timeout(TIMEOUT):
                    filled = await Reading(self, viewer).fill(lean, msgspec.json.decode(answer), values)
                    answer = msgspec.json.encode(filled)
        except TimeoutError:
            raise too_slow() from None
        finally:
            self._asking.discard(bound.key)
        key = bound.key if viewer is guess else self.bound(plan, values, viewer).key
        self._answers.put(key, (lean, answer), len(answer) + 500)
        return answer

    async def _fetch(self, bound: Bound, viewer: Viewer) -> tuple[Plan, bytes]:
        plan, values, given = bound.plan, bound.values, bound.given
        if plan.totals:
            plan = self._lean(plan, values, await self.counting.all(plan, values, viewer))
            given = [bind(values) for bind in plan.binders]
        raw = await self.pool(plan, viewer).fetchval(plan.sql, viewer.list, *given)
        if all(late.volatile for late in plan.late):
            return plan, raw
        filled = await Reading(self, viewer).fill(plan, msgspec.json.decode(raw), values, volatile=False)
        return plan, msgspec.json.encode(filled)


@dataclass
class Reading:
    """One answer in the making."""

    reads: Reads
    viewer: Viewer

    @property
    def hub(self) -> Hub:
        """The hub that is read."""
        return self.reads.hub

    @property
    def schema(self) -> GraphQLSchema:
        """The schema that is answered."""
        return self.reads.schema

    @property
    def until(self) -> int | None:
        """The position at which the hub is shown, where it is not now."""
        return self.reads.until

    @property
    def read_only(self) -> bool:
        """Whether the hub is shown as it stood."""
        return self.reads.until is not None

    async def run(self, plan: Plan, values: Values) -> Any:
        """Run a part of an answer."""
        bound = [bind(values) for bind in plan.binders]
        raw = await self.reads.pool(plan, self.viewer).fetchval(plan.sql, self.viewer.list, *bound, timeout=TIMEOUT)
        if raw is None:
            return None
        return await self.fill(plan, msgspec.json.decode(raw), values)

    async def fill(self, plan: Plan, data: Any, values: Values, volatile: bool | None = None) -> Any:
        """Put the late values in their places; with ``volatile`` only those that are, or only those that are not."""
        from web.reads import changes, overview  # noqa: F401  (they register their loaders)
        from web.reads.late import LOADERS

        places: dict[int, list[tuple[Any, str, list[Any]]]] = {}
        for path in plan.paths:
            for holder in _holders(data, path[:-1]):
                placed = holder.get(path[-1])
                if isinstance(placed, list) and placed and isinstance(placed[0], int):
                    places.setdefault(placed[0], []).append((holder, path[-1], placed[1:]))
        for number, found in places.items():
            late = plan.late[number]
            if volatile not in (None, late.volatile):
                continue
            filled = await LOADERS[late.node.name.value](self, late, [needs for _, _, needs in found], values)
            for (holder, key, _), value in zip(found, filled, strict=True):
                holder[key] = value
        return data


def _plain(
    schema: GraphQLSchema, operation: OperationDefinitionNode
) -> dict[str, tuple[GraphQLVariableSignature, type]] | None:
    found = {}
    for each in operation.variable_definitions or ():
        signature = get_variable_signature(schema, each)
        if isinstance(signature, GraphQLError) or (named := get_nullable_type(signature.type)) not in _PLAIN:
            return None
        found[each.variable.name.value] = signature, _PLAIN[named]
    return found


def _holders(data: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        for each in data:
            yield from _holders(each, path)
    elif isinstance(data, dict):
        if not path:
            yield data
        elif path[0] in data:
            yield from _holders(data[path[0]], path[1:])


def _excess(operations: Any, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[GraphQLError]:
    for operation in operations:
        depth, aliases = _measured(operation.selection_set, fragments, {})
        if depth > MAX_DEPTH:
            yield limited("TOO_DEEP", f"Fields are nested {depth} deep; at most {MAX_DEPTH} is allowed.")
        if aliases > MAX_ALIASES:
            yield limited("TOO_MANY_ALIASES", f"There are {aliases} aliases; at most {MAX_ALIASES} are allowed.")


def _measured(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    deepest, aliases = 0, 0
    for each in selections.selections:
        below, more = 0, 0
        if isinstance(each, FragmentSpreadNode):
            name = each.name.value
            if name not in known:
                known[name] = _measured(fragments[name].selection_set, fragments, known)
            below, more = known[name]
        elif isinstance(each, InlineFragmentNode):
            below, more = _measured(each.selection_set, fragments, known)
        elif isinstance(each, FieldNode):
            if each.selection_set and not each.name.value.startswith("__"):
                below, more = _measured(each.selection_set, fragments, known)
            below += 1
            more += each.alias is not None
        deepest, aliases = max(deepest, below), aliases + more
    return deepest, aliases
