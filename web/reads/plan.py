"""A compiled operation, the values of one request, and the cursors between pages."""

import base64
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    IntValueNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
)
from graphql.execution.values import VariableValues, get_argument_values

from domain.core import kind_named
from projections.core import CENTER, offices, speaks_for, ties

if TYPE_CHECKING:
    from web.reads.totals import Each, Totals

MAX_FIRST, MAX_FOUND = 100, 50

Selections = Sequence[SelectionSetNode]
Cost = Callable[["Values"], int]


_SCALAR = (IntValueNode, FloatValueNode, StringValueNode, BooleanValueNode, EnumValueNode)


class BadInput(GraphQLError):
    """An argument that cannot be met; the message says which and what to do."""

    def __init__(self, message: str, node: FieldNode | None = None) -> None:
        super().__init__(message, node, extensions={"code": "BAD_INPUT"})


class Values:
    """The values of one request: its variables, and what each field was given."""

    def __init__(
        self,
        variables: VariableValues | None,
        person: str | None = None,
        principals: frozenset[str] = frozenset(),
        rows: Sequence[Any] = (),
        language: str = "en",
    ) -> None:
        self.language = language
        self.variables, self.person, self.principals, self.rows = variables, person, principals, rows
        self.narrow: frozenset[str] = frozenset()
        self.totals: Sequence[int | None] = []
        self.empty: frozenset[int] = frozenset()
        self.called: dict[str, list[str]] = {}
        self.constant: dict[int, dict[str, Any]] = {}
        self._args: dict[int, dict[str, Any]] = {}

    def args(self, definition: GraphQLField, node: FieldNode) -> dict[str, Any]:
        """The coerced arguments of a field."""
        if (known := self._args.get(id(node))) is None and (known := self.constant.get(id(node))) is None:
            given = self.variables.coerced if self.variables else {}
            known = self._args[id(node)] = _as_they_are(definition, node, given) or get_argument_values(
                definition, node, self.variables
            )
            if all(isinstance(each.value, _SCALAR) for each in node.arguments or ()):
                self.constant[id(node)] = known
        return known

    def offices(self, kind: str) -> list[str]:
        """The ids of what the viewer has an office in, of one kind."""
        return [id for id in offices(self.principals) if kind_named(id) == kind]

    def ties(self) -> list[str]:
        """The ids of the organizations that keep the viewer from deciding."""
        return ties(self.principals)

    @property
    def center(self) -> bool:
        """Whether the viewer is an officer of the Center."""
        return CENTER in self.principals

    def countries(self) -> list[str]:
        """The countries whose national authority the viewer is."""
        return speaks_for(self.principals)

    def first(self, definition: GraphQLField, node: FieldNode, most: int = MAX_FIRST) -> int:
        """How many a page shows."""
        first = self.args(definition, node).get("first")
        if first is None:
            return min(20, most)
        if not 0 <= first <= most:
            raise BadInput(f"`first` is from 0 to {most}, not {first}.", node)
        return first


@dataclass(frozen=True)
class Late:
    """A value that the statement cannot know: SQL leaves a place for it, ``[number, what it needs …]``.

    ``by`` names what loads it. What is ``volatile`` depends on more than tables: on the clock, or on the whole hub.
    """

    by: str
    parent: GraphQLObjectType
    definition: GraphQLField
    node: FieldNode
    selections: Selections
    fragments: Mapping[str, FragmentDefinitionNode]
    plan: "Plan | None" = None
    counts: "Each | None" = None
    volatile: bool = False


@dataclass(frozen=True)
class Plan:
    """A compiled operation; the same for every viewer and for all values of its arguments but null ones.

    ``by_words`` says that it looks for words: which rows are the fewer, those that have them or those that may be read,
    only the values tell. ``walks`` are the tables that it may look through in the order of a list: how soon what
    may be read is met, the viewer tells. ``called`` are the names by which people are looked for: no statement knows
    them, and the values say who is called that before they are bound. ``lean`` compiles the same without what is known
    to be empty; with that it keeps a tree of so many bytes, its ``weight``. ``constant`` are the arguments of fields
    that no request changes, by the identity of the field's node, which the plan keeps.
    """

    sql: str
    binders: tuple[Callable[[Values], Any], ...]
    late: tuple[Late, ...]
    paths: frozenset[tuple[str, ...]]
    tables: frozenset[str]
    cost: Cost
    totals: "tuple[Totals, ...]" = ()
    by_words: bool = False
    walks: frozenset[str] = frozenset()
    called: tuple[Callable[[Values], str], ...] = ()
    lean: "Callable[[Values], Plan] | None" = None
    weight: int = 0
    number: int = field(default_factory=itertools.count(1).__next__)
    constant: dict[int, dict[str, Any]] = field(default_factory=dict)
    _costs: dict[tuple[int, ...], int] = field(default_factory=dict)

    def costs(self, values: Values) -> int:
        """What it costs with these values: it depends on how many are asked for, so on whole numbers and on the lengths
        of lists alone.
        """
        assert values.variables is not None
        given = values.variables.coerced.values()
        counts = tuple(each if type(each) is int else len(each) for each in given if type(each) in (int, list))
        if (known := self._costs.get(counts)) is None:
            if len(self._costs) > 100:
                self._costs.clear()
            known = self._costs[counts] = self.cost(values)
        return known

    @cached_property
    def volatile(self) -> bool:
        """Whether the answer depends on more than its tables: on the clock, or on the whole hub."""
        return any(each.volatile for each in self.late)


def _as_they_are(definition: GraphQLField, node: FieldNode, given: Mapping[str, Any]) -> dict[str, Any] | None:
    # Every argument is a variable that was given: nothing is left to coerce, and no default counts.
    if len(arguments := node.arguments or ()) != len(definition.args):
        return None
    found = {}
    for each in arguments:
        if not isinstance(each.value, VariableNode) or (value := given.get(each.value.name.value)) is None:
            return None
        found[definition.args[each.name.value].out_name or each.name.value] = value
    return found


def decode_cursor(cursor: str, node: FieldNode, count: int) -> list[Any]:
    """The values in a cursor; raises ``BadInput``."""
    try:
        values = json.loads(base64.b64decode(cursor, validate=True))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != count or not all(map(_bindable, values)):
        raise BadInput("`after` is no cursor of this list: take it from `pageInfo.endCursor`.", node)
    return values


def _bindable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)
    return isinstance(value, int) and abs(value) < 2**63


def written(at: datetime) -> str:
    """An instant as PostgreSQL writes it in JSON, so that one instant is written one way: no zeros end its second."""
    whole, dot, fraction = at.astimezone(UTC).isoformat().removesuffix("+00:00").partition(".")
    return whole + (dot + fraction.rstrip("0") if fraction else "") + "+00:00"


def moment(value: Any, node: FieldNode) -> datetime:
    """An instant in a cursor; raises ``BadInput``."""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise BadInput("`after` is no cursor of this list: take it from `pageInfo.endCursor`.", node) from None
