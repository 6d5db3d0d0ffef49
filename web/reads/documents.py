"""Documents as they are sent: parsed, validated and measured once; and the values that they are given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLID,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    parse,
    validate,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from web.reads.measuring import MAX_TOKENS, excess, limited, tangled
from web.reads.recent import Recent

MAX_ERRORS = 10
_TOKEN = 600
"""Bytes that a document's tree takes for each of its tokens, as measured."""
_PLAIN = {GraphQLID: str, GraphQLString: str, GraphQLBoolean: bool}
WRITTEN = {"RecordKind"}
"""The enums of which a list is written into the statement: which kinds are searched."""


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

    @cached_property
    def weight(self) -> int:
        """The bytes that it takes in memory, about: of a tree, so many for each of its tokens."""
        token, tokens = self.document.loc.start_token if self.document and self.document.loc else None, 0
        while token is not None:
            token, tokens = token.next, tokens + 1
        return 1_000 + len(self.text) + _TOKEN * tokens

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


def document_of(schema: GraphQLSchema, text: str) -> Prepared:
    """A document, parsed and validated; its errors where it cannot be run."""
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
        errors = tuple(tangled(document.definitions, fragments))
        errors = errors or tuple(validate(schema, document, max_errors=MAX_ERRORS, hide_suggestions=False))
        errors = errors or tuple(excess(operations.values(), fragments))
    except RecursionError:
        errors = (limited("TOO_DEEP", "The document is nested too deeply."),)
    if errors:
        # What cannot be run is remembered by its text and by what is wrong with it: a tree is some hundred times that.
        return Prepared(text, None, tuple(map(_light, errors)), parsed=True)
    plain = {name: _plain(schema, each) for name, each in operations.items()}
    every = {name: found for name, found in plain.items() if found is not None}
    return Prepared(text, document, (), True, operations, fragments, every)


_RECENT: Recent[tuple[int, str], tuple[GraphQLSchema, Prepared]] = Recent(32_000_000)


def prepared_once(schema: GraphQLSchema, text: str) -> Prepared:
    """The same, made once for all who ask for it in this process."""
    # The schema is kept with it, so that no other one is taken for it.
    key = id(schema), text
    if (known := _RECENT.get(key)) is None:
        known = schema, document_of(schema, text)
        _RECENT.put(key, known, known[1].weight)
    return known[1]


def _light(error: GraphQLError) -> GraphQLError:
    return GraphQLError(error.message, source=error.source, positions=error.positions, extensions=error.extensions)


def variables_of(
    schema: GraphQLSchema, prepared: Prepared, operation: OperationDefinitionNode, given: dict[str, Any]
) -> VariableValues:
    """What an operation was given, coerced; raises the first ``GraphQLError``."""
    if (known := prepared.as_they_are(operation, given)) is not None:
        return known
    coerced = get_variable_values(schema, operation.variable_definitions or (), given, max_errors=MAX_ERRORS)
    if isinstance(coerced, list):
        for error in coerced:
            error.extensions = {**(error.extensions or {}), "code": "BAD_INPUT"}
        raise coerced[0]
    return coerced


def shape(type: Any, value: Any) -> Any:
    """What the text of a statement depends on: which values are null or blank, booleans (@skip), enums (the order),
    lists of enums that are written into it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and not value.strip():
        return " "
    if isinstance(value, dict):
        inner = getattr(get_named_type(type), "fields", {})
        return tuple(
            (name, shape(inner[name].type if name in inner else None, each)) for name, each in sorted(value.items())
        )
    named = get_named_type(type)
    if isinstance(value, list):
        return frozenset(value) if named.name in WRITTEN else ()
    return value if isinstance(named, GraphQLEnumType) else ""


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
