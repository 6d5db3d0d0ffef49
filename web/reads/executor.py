"""Runs compiled operations: documents and plans are cached, answers are kept for as long as nothing changed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

import msgspec
from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

from domain.core import State
from hub.door import Hub
from hub.held import Held
from hub.pool import Pool, waited_in_vain
from web.reads.compiler import Compiler
from web.reads.counting import Counting
from web.reads.documents import Prepared, prepared_once, shape, variables_of
from web.reads.making import TIMEOUT, Reading
from web.reads.measuring import MAX_COST, limited, within_cost
from web.reads.names import Names
from web.reads.plan import Plan, Values
from web.reads.recent import Recent
from web.reads.viewer import Viewer, Viewers


class Bound(NamedTuple):
    """A plan with the values of one request; its answer is the same for as long as the ``key`` is."""

    plan: Plan
    values: Values
    given: list[Any]
    key: Any


def too_slow(why: TimeoutError) -> GraphQLError:
    """What took too long; or what was never begun, because so much else was asked at once."""
    if waited_in_vain(why):
        return limited("BUSY", f"So much is asked that this waited {TIMEOUT:.0f} seconds for its turn: try again.")
    return limited("TOO_SLOW", f"This took longer than {TIMEOUT:.0f} seconds: ask for less at once.")


class Reads:
    """One per process: the schema, its cached documents, plans and answers."""

    def __init__(self, hub: Hub, schema: GraphQLSchema, until: int | None = None, answers: int = 0) -> None:
        self.hub, self.schema, self.until = hub, schema, until
        self._plans: Recent[Any, Plan] = Recent(96_000_000)
        self._answers: Recent[Any, tuple[ReferenceType[Plan], bytes]] = Recent(answers - answers // 4)
        self.keeps = answers > 0
        self.kept: Recent[Any, Any] = Recent(answers // 4)
        self.counting, self.names = Counting(self), Names(self)
        self.before: Held[str, tuple[int, State]] = Held(1_000)
        """Of records with a long history: a position, and the state there, from which later changes are told."""
        self._flights: dict[Any, asyncio.Future[tuple[Plan, bytes]]] = {}
        self._asking: set[Any] = set()
        self._whole: Recent[int, str] = Recent(16_000_000)

    def prepare(self, text: str) -> Prepared:
        """Parse and validate a document, once."""
        return prepared_once(self.schema, text)

    def values(
        self, prepared: Prepared, operation: OperationDefinitionNode, given: dict[str, Any], viewer: Viewer
    ) -> Values:
        """The values of a viewer's request; raises the first ``GraphQLError``."""
        variables = variables_of(self.schema, prepared, operation, given)
        values = Values(variables, viewer.person, viewer.principals, language=viewer.language)
        values.narrow = viewer.narrow
        return values

    def plan(
        self, prepared: Prepared, operation: OperationDefinitionNode, name: str, values: Values, only: str = ""
    ) -> Plan:
        """The plan of an operation (or of one of its root fields), compiled where it is not known yet."""
        assert values.variables is not None
        sources = values.variables.sources
        shapes = tuple(
            (name, shape(sources[name].signature.type, value))
            for name, value in sorted(values.variables.coerced.items())
        )
        key = prepared.text, name, shapes, only, values.narrow, values.language
        if (plan := self._plans.get(key)) is None:
            lean = partial(self._compiled, prepared, operation, only)
            values.empty = frozenset()
            plan = replace(lean(values), lean=lean, weight=prepared.weight)
            if plan.costs(values) <= MAX_COST:
                self._keep(key, plan)
        return plan

    def _keep(self, key: Any, plan: Plan) -> None:
        # It keeps the tree of its document, too.
        self._plans.put(key, plan, plan.weight + 8 * len(plan.sql))

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
            known = replace(plan.lean(values), weight=plan.weight)
            self._keep(key, known)
        return known

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
        except TimeoutError as error:
            raise too_slow(error) from None

    async def _stable(self, bound: Bound, viewer: Viewer) -> tuple[Plan, bytes]:
        # The answer but for its volatile values, whose places are left as the plan says that comes with it: both are
        # kept until a table changes.
        key = bound.key
        while True:
            if (known := self._known(key)) is not None:
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
        self._answers.put(key, (ref(answer[0]), answer[1]), len(answer[1]) + 500)
        return answer

    def _known(self, key: Any) -> tuple[Plan, bytes] | None:
        # An answer is of use with its plan alone, and keeps none: a plan may be a thousand times as large.
        if (known := self._answers.get(key)) is None or (plan := known[0]()) is None:
            return None
        return plan, known[1]

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
        known = self._known(key)
        return known[1] if known is not None and not known[0].volatile else None

    async def found(self, plan: Plan, values: Values, viewer: Viewer) -> Bound:
        """A plan with its values, once it is known who is called as it asks."""
        if plan.called:
            within_cost(plan.costs(values))
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self.names.find(plan, values, viewer)
            except TimeoutError as error:
                raise too_slow(error) from None
        return self.bound(plan, values, viewer)

    @staticmethod
    def bound(plan: Plan, values: Values, viewer: Viewer) -> Bound:
        """A plan with its values, which say who is called as it asks; totals are not known yet."""
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
            self._whole.put(lean.number, sql, len(sql) + 200)
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
        except TimeoutError as error:
            raise too_slow(error) from None
        finally:
            self._asking.discard(bound.key)
        key = bound.key if viewer is guess else self.bound(plan, values, viewer).key
        self._answers.put(key, (ref(lean), answer), len(answer) + 500)
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
