"""The conditions of a list's filter, over its rows."""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, get_named_type

from projections import words
from projections.core import Row
from web.conditions import Asker, every_condition
from web.reads.fitting import fitting
from web.reads.mapping import condition, form, snake
from web.reads.plan import Values
from web.reads.statement import Chosen, Statement


def filters(
    statement: Statement,
    chosen: Chosen,
    alias: str,
    cls: type[Row],
    on: str | None = None,
    by_words: bool = True,
    exact: bool = False,
) -> Iterator[str]:
    """What the rows of a list meet: ``on``, and each field of its filter that is given.

    Words are found also where they are misspelled, but for ``exact``, and not at all without ``by_words``.
    """
    if on:
        yield f"{alias}.{on}"
    given = chosen.args(statement.values).get("where")
    argument = chosen.definition.args.get("where")
    if not given or argument is None:
        return
    type = get_named_type(argument.type)
    assert isinstance(type, GraphQLInputObjectType)
    for name, filtered in type.fields.items():
        how, of, get = condition(filtered), get_named_type(filtered.type), _value(chosen, name, form(filtered))
        if given.get(name) is None or (how.kind in ("text", "called") and _blank(given[name])):
            continue
        sql_type = {"Boolean": "boolean", "Int": "bigint", "DateTime": "timestamptz"}.get(of.name, "text")
        if how.kind == "text":
            if exact:
                query = statement.bind(lambda values, get=get: words.query(get(values)), "text")  # type: ignore[misc]
                yield f"{alias}.search @@ {query}::tsquery"
            elif by_words:
                yield _found(statement, chosen, alias, cls, on, get)
        elif how.kind == "called":
            statement.called.append(get)
            # Those alone who may be read, so that nothing is told of others.
            those = lambda values, get=get: values.called[get(values)]  # noqa: E731
            yield f"{alias}.id = ANY({statement.bind(those, 'text[]')})"
        elif how.kind == "condition" and sql_type == "boolean":
            # Its value is of the plan's shape: as plain text an index can serve it.
            holds = every_condition()[how.name](alias, "", _asker(statement))
            yield holds if given[name] else f"NOT {holds}"
        elif how.kind == "condition":
            yield every_condition()[how.name](alias, statement.bind(get, sql_type), _asker(statement))
        elif isinstance(of, GraphQLEnumType):
            lowered = lambda values, get=get: [each.lower() for each in get(values)]  # noqa: E731
            yield f'{alias}."{how.name or snake(name)}" = ANY({statement.bind(lowered, "text[]")})'
        elif isinstance(filtered.type, GraphQLList):
            yield f'{alias}."{how.name or snake(name)}" = ANY({statement.bind(get, sql_type + "[]")})'
        else:
            yield f'{alias}."{how.name or snake(name)}" = {statement.bind(get, sql_type)}'


def _value(chosen: Chosen, name: str, kind: str | None) -> Callable[[Values], Any]:
    if kind is None:
        return lambda values: chosen.args(values)["where"][name]
    return lambda values: fitting(kind, name, chosen.args(values)["where"][name], chosen.node)


def _blank(value: Any) -> bool:
    # Who has emptied a field to search in looks for nothing in particular.
    return value is None or (isinstance(value, str) and not value.strip())


def _asker(statement: Statement) -> Asker:
    def any_of(those: Callable[[Values], list[str]]) -> str:
        return f"ANY({statement.bind(those, 'text[]')})"

    return Asker(
        parts=lambda table, alias: str(statement.rows(table, alias, reached=True)),
        offices=lambda kind: any_of(lambda values: values.offices(kind)),
        ties=lambda: any_of(Values.ties),
        center=lambda: statement.bind(lambda values: values.center, "boolean"),
        countries=lambda: any_of(Values.countries),
        person=lambda: statement.bind(
            lambda values: values.person if values.person in values.principals else "", "text"
        ),
        records=lambda table, alias: str(statement.rows(table, alias, filtered=True)),
    )


def _found(
    statement: Statement, chosen: Chosen, alias: str, cls: type[Row], on: str | None, text: Callable[[Values], str]
) -> str:
    statement.by_words = True
    query = statement.bind(lambda values: words.query(text(values)), "text")
    typed = statement.bind(lambda values: as_typed(text(values)), "text")
    fits, other = f"search @@ {query}::tsquery", statement.alias()
    rows, rest = statement.rows(cls.table, other, filtered=True), filters(statement, chosen, other, cls, on, False)
    # Null where the list has the words as typed: an index of trigrams is then not even opened.
    some = f"SELECT FROM {rows.source} WHERE {' AND '.join((rows.predicate, *rest))} AND {other}.{fits}"
    misspelled = f"(SELECT CASE WHEN EXISTS ({some}) THEN NULL ELSE {typed} END)"
    like = " OR ".join(f'{misspelled} <% {alias}."{name}"' for name in cls.fuzzy)
    return f"({alias}.{fits} OR {like})"


def as_typed(text: str) -> str:
    """What somebody looks for, as trigrams are made of it."""
    return unicodedata.normalize("NFC", text[: words.LOOKED_FOR]).replace("\0", "")
