"""One SQL statement while it is compiled: its parameters, the tables that it names, the places left for later.

``$1`` is the viewer's principals. Every argument is a bind parameter; of the request only response keys enter the text:
GraphQL names, at most 63 bytes, quoted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    get_named_type,
)
from graphql.execution.values import get_directive_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from hub.reading import Readable, readable
from hub.tables import TABLES
from projections.core import Row
from web.reads.plan import BadInput, Cost, Late, Plan, Selections, Values
from web.reads.totals import Wanted

ROW = '"#"'
"""What a row is called that becomes an object: no field of a response has a name like that."""


def total(costs: Iterable[Cost]) -> Cost:
    """What parts cost together, with what they are parts of."""
    every = tuple(costs)
    return lambda values: 1 + sum(cost(values) for cost in every)


def built(fields: Sequence[tuple[str, str]]) -> str:
    """An object whose values come from no row of its own."""
    # A function takes a hundred arguments.
    if len(fields) > 50:
        named = ", ".join(f'{sql} AS "{key}"' for key, sql in fields)
        return f"(SELECT row_to_json({ROW}) FROM (SELECT {named}) {ROW})"
    pairs = ", ".join(f"'{key}', {sql}" for key, sql in fields)
    return f"json_build_object({pairs})"


def record(select: str) -> str:
    """The object that a row becomes."""
    return f"(SELECT row_to_json({ROW}) FROM ({select}) {ROW})"


def listed(select: str) -> str:
    """The list of objects that rows become."""
    return f"(SELECT coalesce(json_agg({ROW}), '[]'::json) FROM ({select}) {ROW})"


@dataclass(frozen=True)
class Chosen:
    """A field that is asked for: how it is defined, what it was given, what is asked for of it, and where it stands."""

    definition: GraphQLField
    node: FieldNode
    selections: Selections
    path: tuple[str, ...]

    @property
    def type(self) -> GraphQLNamedType:
        """What it is of, or lists."""
        return get_named_type(self.definition.type)

    def args(self, values: Values) -> dict[str, Any]:
        """Its arguments."""
        return values.args(self.definition, self.node)


@dataclass
class Statement:
    """What is being compiled. ``sources`` puts other rows in the place of tables, for one record as it ``stood`` and
    for its parts: whatever else it leads to is as it is now.

    ``wanted`` are the counts that are asked for beside the statement, by table; ``given`` the aliases of records whose
    id is known before anything is read.
    """

    schema: GraphQLSchema
    models: str
    fragments: Mapping[str, FragmentDefinitionNode]
    values: Values
    sources: Mapping[str, str] = field(default_factory=dict)
    stood: str = ""
    binders: list[Callable[[Values], Any]] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    wanted: "dict[str, tuple[Statement, Wanted]]" = field(default_factory=dict)
    by_words: bool = False
    walks: set[str] = field(default_factory=set)
    called: list[Callable[[Values], str]] = field(default_factory=list)
    given: dict[str, Callable[[Values], Any]] = field(default_factory=dict)
    _aliases: int = 0

    def other(self) -> Self:
        """A statement beside this one, of the same request."""
        return type(self)(self.schema, self.models, self.fragments, self.values, called=self.called)

    def plan(self, sql: str, cost: Cost) -> Plan:
        """The plan with what was noted on the way."""
        totals = tuple(wanted.totals(part.binders, part.tables) for part, wanted in self.wanted.values())
        return Plan(
            sql,
            tuple(self.binders),
            tuple(self.late),
            frozenset(self.paths),
            frozenset(self.tables),
            cost,
            totals,
            self.by_words,
            frozenset(self.walks),
            tuple(self.called),
        )

    def bind(self, value: Callable[[Values], Any], type: str) -> str:
        """A parameter."""
        self.binders.append(value)
        return f"${len(self.binders) + 1}::{type}"

    def alias(self) -> str:
        """A name for rows that no others have."""
        self._aliases += 1
        return f"t{self._aliases}"

    def rows(
        self, table: str, alias: str, reached: bool = False, filtered: bool = False, stood: bool = False
    ) -> Readable:
        """The readable rows of a table; those of the record that ``stood``, where they are its own."""
        self.tables.add(table)
        cls: type[Row] | None = TABLES[table]
        while cls := cls.within if cls else None:
            self.tables.add(cls.table)
        sources = self.sources if stood else {}
        return readable(self.models, TABLES[table], alias=alias, sources=sources, reached=reached, filtered=filtered)

    def put_off(self, late: Late, at: tuple[str, ...], *needs: str) -> str:
        """The place of a value that this statement cannot know."""
        self.paths.add(at)
        self.late.append(late)
        return f"json_build_array({', '.join((str(len(self.late) - 1), *needs))})"

    def collect(self, type: GraphQLObjectType, selections: Selections) -> dict[str, list[FieldNode]]:
        """The fields that are selected on a type, by response key, in the order of the document."""
        found: dict[str, list[FieldNode]] = {}
        self._collect(type, selections, found, set())
        return found

    def chosen(
        self, type: GraphQLObjectType, selections: Selections, path: tuple[str, ...] = ()
    ) -> list[tuple[str, str, FieldNode, Selections, tuple[str, ...]]]:
        """The same, each with its name, its node, what is asked for of it, and its own path."""
        return [
            (key, nodes[0].name.value, nodes[0], asked_of(nodes), (*path, key))
            for key, nodes in self.collect(type, selections).items()
        ]

    def _collect(
        self, type: GraphQLObjectType, selections: Selections, found: dict[str, list[FieldNode]], seen: set[str]
    ) -> None:
        for selection in (each for chosen in selections for each in chosen.selections):
            skip = get_directive_values(GraphQLSkipDirective, selection, self.values.variables)
            include = get_directive_values(GraphQLIncludeDirective, selection, self.values.variables)
            if (skip and any(skip.values())) or (include and not all(include.values())):
                continue
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                if len(key) > 63:
                    raise BadInput(f"An alias has at most 63 characters: {key[:20]}… has {len(key)}.", selection)
                found.setdefault(key, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                if self._applies(type, selection.type_condition.name.value if selection.type_condition else None):
                    self._collect(type, [selection.selection_set], found, seen)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
                seen.add(selection.name.value)
                fragment = self.fragments[selection.name.value]
                if self._applies(type, fragment.type_condition.name.value):
                    self._collect(type, [fragment.selection_set], found, seen)

    def _applies(self, type: GraphQLObjectType, condition: str | None) -> bool:
        if condition is None or condition == type.name:
            return True
        other = self.schema.type_map[condition]
        return isinstance(other, GraphQLInterfaceType) and self.schema.is_sub_type(other, type)


def asked_of(nodes: Sequence[FieldNode]) -> Selections:
    """What is asked for of a field, which a document may name more than once."""
    return [node.selection_set for node in nodes if node.selection_set]
