"""How each field of the schema is read: its directive, beside it in the schema's own files.

A field without a directive is the column of its name in snake case. The directives are ours alone: the schema that
is published does not show them.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import GraphQLEnumType, GraphQLEnumValue, GraphQLField, GraphQLInputField, GraphQLNamedType, ListValueNode

from hub.tables import TABLES
from projections.core import Row


@dataclass(frozen=True)
class Reading:
    """The kind of a reading (``column``, ``one``, ``many``, ``connection``, ``late`` …) and its settings."""

    kind: str
    settings: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.settings.get(name)


def snake(name: str) -> str:
    """``submittedAt`` in the words of SQL: ``submitted_at``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def type_of(kind: str) -> str:
    """The type of a kind of record: ``Proposal`` of ``proposal``, ``AccessRequest`` of ``access_request``."""
    return "".join(word.capitalize() for word in kind.split("_"))


def _directives(element: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for directive in (element.ast_node and element.ast_node.directives) or ():
        settings: dict[str, Any] = {}
        for argument in directive.arguments or ():
            value: Any = argument.value
            if isinstance(value, ListValueNode):
                settings[argument.name.value] = tuple(each.value for each in value.values)  # type: ignore[attr-defined]
            else:
                settings[argument.name.value] = value.value
        found[directive.name.value] = settings
    return found


_READINGS: dict[int, tuple[GraphQLField, Reading]] = {}


def reading(field: GraphQLField) -> Reading:
    """How a field is read."""
    known = _READINGS.get(id(field))
    if known is None:
        own = {name: settings for name, settings in _directives(field).items() if name not in ("deprecated", "costs")}
        kind, settings = next(iter(own.items()), ("column", {}))
        known = _READINGS[id(field)] = field, Reading(kind, settings)
    return known[1]


_COSTS: dict[int, tuple[GraphQLField, int]] = {}


def costs_of(field: GraphQLField) -> int:
    """What a field costs each time that it is asked for, by any name (``@costs``): a text about two for each thousand
    letters that it may have.
    """
    known = _COSTS.get(id(field))
    if known is None:
        known = _COSTS[id(field)] = field, int(_directives(field).get("costs", {}).get("much", 0))
    return known[1]


def condition(field: GraphQLInputField) -> Reading:
    """How a field of a filter is met: ``column`` (equal, or any of), ``text``, ``called`` or ``condition``."""
    own = {name: settings for name, settings in _directives(field).items() if name != "is"}
    kind, settings = next(iter(own.items()), ("column", {}))
    return Reading(kind, settings)


def form(field: GraphQLInputField) -> str | None:
    """What a value of a filter's field has to be (``@is``), where not every value is one."""
    return _directives(field).get("is", {}).get("a")


def order(value: GraphQLEnumValue, language: str) -> tuple[str, bool]:
    """The column that an order means to readers of a language, and whether it descends."""
    by = _directives(value)["by"]
    return by["column"] + (f"_{language}" if by.get("localized") else ""), bool(by.get("descending"))


@cache
def table_of(type: GraphQLNamedType) -> type[Row] | None:
    """The rows that a type shows."""
    if isinstance(type, GraphQLEnumType) or type.ast_node is None:
        return None
    named = _directives(type).get("table")
    return TABLES[named["name"]] if named else None
