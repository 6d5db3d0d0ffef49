"""The one way into the schema: what is asked for, by whomever and over whatever, is run here."""

from collections.abc import AsyncGenerator, Callable
from inspect import isawaitable
from typing import Any

import msgspec
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType, execute, subscribe

from web.answers import AWAY, UNFIT, Answer, told, unforeseen
from web.asking import Asked
from web.live import Closing, Live
from web.reads.carrying import Carrying
from web.reads.documents import Prepared
from web.reads.executor import Reads
from web.reads.fallback import Context, Place, Unread
from web.reads.measuring import limited, within_cost
from web.reads.statement import Statement
from web.reads.viewer import Viewer, Viewers


class Failed(Exception):
    """An operation that was not begun."""

    def __init__(self, errors: Any) -> None:
        super().__init__()
        self.errors = list(errors)


class Endpoint:
    """The one way into the schema: for clients over HTTP, and for the hub's own pages in-process."""

    def __init__(
        self, reads: Reads, viewers: Viewers, live: Live, said: Callable[[str], None] = lambda _: None
    ) -> None:
        self.reads, self.viewers, self.live, self._said = reads, viewers, live, said
        self.carrying = Carrying(reads)

    def operation(self, ask: Asked) -> tuple[Prepared, OperationDefinitionNode, str]:
        """The document and the operation that is meant; raises ``GraphQLError``s as one ``Failed``."""
        prepared = self.reads.prepare(ask.query)
        if prepared.errors:
            raise Failed(prepared.errors)
        name = ask.operation or ""
        if not name and len(prepared.operations) == 1:
            name = next(iter(prepared.operations))
        if name not in prepared.operations or (not ask.operation and len(prepared.operations) > 1):
            what = f"there is no operation named “{name}”" if ask.operation else "say with `operationName` which"
            raise Failed([limited("BAD_INPUT", f"The operation to run is not clear: {what}.")])
        return prepared, prepared.operations[name], name

    def follows(self, ask: Asked) -> bool:
        """Whether a subscription is meant."""
        try:
            return self.operation(ask)[1].operation == OperationType.SUBSCRIPTION
        except Failed:
            return False

    def context(
        self,
        ask: Asked,
        viewer: Viewer,
        secret: str | None = None,
        key: str | None = None,
        place: Place | None = None,
    ) -> Context:
        """What an operation needs to run; raises ``Failed``."""
        prepared, operation, name = self.operation(ask)
        try:
            values = self.reads.values(prepared, operation, ask.variables, viewer)
        except GraphQLError as error:
            raise Failed([error]) from None
        return Context(
            self.reads,
            self.viewers,
            viewer,
            secret,
            prepared,
            operation,
            name,
            values,
            key,
            self.live,
            place or Place(),
        )

    async def run(
        self, ask: Asked, viewer: Viewer, secret: str | None = None, key: str | None = None, reading: bool = False
    ) -> Answer:
        """Run a query or a mutation; nothing is raised."""
        try:
            context = self.context(ask, viewer, secret, key)
        except Failed as failed:
            return Answer(None, [told(error) for error in failed.errors], {}, began=False)
        kind = context.operation.operation
        if reading and kind != OperationType.QUERY:
            error = limited("METHOD", "Only queries may be sent with GET: send this with POST.")
            return Answer(None, [told(error)], {"status": 405}, began=False)
        if kind == OperationType.SUBSCRIPTION:
            error = limited("TRANSPORT", "Subscriptions are sent as text/event-stream, or over graphql-transport-ws.")
            return Answer(None, [told(error)], {}, began=False)
        try:
            if kind == OperationType.QUERY and self._introspects(context):
                within_cost(self._cost_of_roots(context))
            elif kind == OperationType.QUERY:
                plan = self.reads.plan(context.prepared, context.operation, context.name, context.values)
                data = await self.reads.data(await self.reads.found(plan, context.values, viewer), viewer)
                return Answer(data, [], {"cost": plan.costs(context.values)}, reads=True)
            elif kind == OperationType.MUTATION:
                carried, errors = await self.carrying.carry(context)
                return Answer(msgspec.json.encode(carried), [self._safe(error) for error in errors], {})
            return await self._executed(context, ask)
        except GraphQLError as error:
            return self.failed(error)
        except Exception as error:
            return self.failed(self._fault(error))

    @staticmethod
    def failed(error: GraphQLError) -> Answer:
        """What an operation gave that was begun, and failed."""
        return Answer(None, [told(error)], {})

    def _fault(self, error: Exception, path: GraphQLError | None = None) -> GraphQLError:
        # What an error that is none of the schema's own becomes for whoever asked: their value, or our fault.
        if isinstance(error, UNFIT):
            return limited("BAD_INPUT", "A value cannot be looked up: it holds a null character, or is out of range.")
        if isinstance(error, AWAY):
            self._said(f"the database is away: {str(error) or type(error).__name__}")
            return limited("BUSY", "The database is away for a moment: try again.")
        self._said(f"{type(error).__name__}: {error}")
        return unforeseen(path)

    @staticmethod
    def _roots(context: Context) -> dict[str, str]:
        statement = Statement(context.reads.schema, "", context.prepared.fragments, context.values)
        root = context.reads.schema.query_type
        assert root is not None
        fields = statement.collect(root, [context.operation.selection_set])
        return {key: nodes[0].name.value for key, nodes in fields.items()}

    def _introspects(self, context: Context) -> bool:
        return context.prepared.introspects and any(
            name in ("__schema", "__type") for name in self._roots(context).values()
        )

    def _cost_of_roots(self, context: Context) -> int:
        own = [key for key, name in self._roots(context).items() if not name.startswith("__")]
        plans = [
            self.reads.plan(context.prepared, context.operation, context.name, context.values, only=key) for key in own
        ]
        return sum(plan.costs(context.values) for plan in plans)

    async def _executed(self, context: Context, ask: Asked) -> Answer:
        assert context.prepared.document is not None
        done = execute(
            context.reads.schema,
            context.prepared.document,
            context_value=context,
            variable_values=ask.variables,
            operation_name=context.name or None,
        )
        result = done if isinstance(done, ExecutionResult) else await done
        return Answer(msgspec.json.encode(result.data), [self._safe(e) for e in result.errors or ()], {}, reads=True)

    def _safe(self, error: GraphQLError) -> dict[str, Any]:
        original = error.original_error
        if original is not None and not isinstance(original, GraphQLError):
            fault = told(self._fault(original, error))
            return {**fault, "extensions": {**(error.extensions or {}), **fault["extensions"]}}
        return told(error)

    async def results(
        self,
        ask: Asked,
        viewer: Viewer,
        secret: str | None,
        key: str | None = None,
        reading: bool = False,
        place: Place | None = None,
    ) -> AsyncGenerator[bytes]:
        """The bodies of an operation's responses: one, or for a subscription one per change. Raises ``Closing``.

        A subscription goes on at a ``place`` whose position is known, and keeps in it what it told.
        """
        try:
            context = self.context(ask, viewer, secret, key, place)
            if context.operation.operation != OperationType.SUBSCRIPTION:
                answer = await self.run(ask, viewer, secret, key, reading)
                answer.extensions.pop("status", 0)
                yield answer.body()
                return
            assert context.prepared.document is not None
            begun = subscribe(
                context.reads.schema,
                context.prepared.document,
                context_value=context,
                variable_values=ask.variables,
                operation_name=context.name or None,
            )
            stream: Any = await begun if isawaitable(begun) else begun
            if isinstance(stream, ExecutionResult):
                raise Failed(stream.errors or ())
        except Failed as failed:
            yield Answer(None, [told(error) for error in failed.errors], {}, began=False).body()
            return
        try:
            async for result in stream:
                if any(isinstance(each.original_error, Unread) for each in result.errors or ()):
                    continue
                errors = [self._safe(error) for error in result.errors or ()]
                if not errors:
                    # The stream stands still until it is asked for more: this is the place of what it gave.
                    context.place.told = context.place.position
                yield Answer(msgspec.json.encode(result.data), errors, {}).body()
        except GraphQLError as error:
            yield Answer(None, [told(error)], {}, began=False).body()
        except Closing:
            raise
        except Exception as error:
            yield Answer(None, [told(self._fault(error))], {}, began=False).body()
        finally:
            await stream.aclose()
