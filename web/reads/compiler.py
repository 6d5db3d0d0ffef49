"""From a validated operation to one SQL statement.

An object is a record, a to-one a lateral join, a list an aggregate over a sorted subquery; connections and the search
are in rooms of their own. Counts of whole lists are no part of the statement, and what it cannot know is left to later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
)

from hub.tables import TABLES, columns
from projections.core import Row, is_record
from web.reads.filters import filters
from web.reads.mapping import Reading, costs_of, reading, snake, table_of
from web.reads.pages import connection, object_of
from web.reads.plan import MAX_FIRST, BadInput, Cost, Late, Plan, Selections, Values
from web.reads.searching import search
from web.reads.statement import Chosen, Statement, asked_of, built, listed, record, total

LIST_COSTS = 10


@dataclass
class Compiler(Statement):
    """Compiles one operation, or one of its parts.

    ``named`` asks for the type of every record, ``among`` are the only types that the next node can be of.
    """

    named: bool = False
    among: list[type[Row]] | None = None

    def operation(self, root: GraphQLObjectType, selections: Selections) -> Plan:
        """The plan of a whole operation."""
        fields, costs = [], []
        for key, nodes in self.collect(root, selections).items():
            sql, cost = self._field(root, key, nodes, None, ())
            fields.append((key, sql))
            costs.append(cost)
        # The viewer is bound even where nothing that needs one is asked for.
        return self.plan(f"SELECT {built(fields)} WHERE $1::text[] IS NOT NULL", total(costs))

    def standing(self, type: GraphQLObjectType, selections: Selections) -> Plan:
        """The plan of one row of this type, the first of the values' rows being its key."""
        cls = table_of(type)
        assert cls is not None
        id = self.bind(lambda values: values.rows[0], columns(cls)[cls.key[0]][0])
        sql, cost = self._get(type, selections, id, ())
        return self.plan(f"SELECT {sql}", cost)

    def happening(self, definition: GraphQLField, node: FieldNode, table: str | None) -> Plan:
        """Whether the viewer may see the event at a position, and its record, if there is one, fits the filter."""
        entry, alias = self.rows("entry", "happened"), self.alias()
        position = self.bind(lambda values: values.rows[1], "bigint")
        seen = f"EXISTS (SELECT {entry} AND happened.position = {position})"
        if table is None:
            return self.plan(f"SELECT {seen}", total(()))
        rows = self.rows(table, alias)
        id = self.bind(lambda values: values.rows[0], "text")
        chosen = Chosen(definition, node, (), ())
        where = " AND ".join((rows.predicate, f"{alias}.id = {id}", *filters(self, chosen, alias, TABLES[table])))
        return self.plan(f"SELECT {seen} AND EXISTS (SELECT FROM {rows.source} WHERE {where})", total(()))

    def object(
        self, type: GraphQLObjectType, selections: Selections, alias: str, path: tuple[str, ...]
    ) -> tuple[str, str, Cost]:
        """The columns of a record, the joins that they need, and their cost."""
        fields, joins, costs = [], [], []
        collected = self.collect(type, selections)
        if self.named:
            fields.append(f"'{type.name}' AS \"__typename\"")
            collected.pop("__typename", None)
        for key, nodes in collected.items():
            kind = "column" if nodes[0].name.value == "__typename" else reading(type.fields[nodes[0].name.value]).kind
            sql, cost = self._field(type, key, nodes, alias, path)
            if kind in ("one", "node"):
                joined = f"j{self.alias()}"
                joins.append(f"LEFT JOIN LATERAL (SELECT {sql} AS j) {joined} ON true")
                sql = f"{joined}.j"
            fields.append(f'{sql} AS "{key}"')
            costs.append(cost)
        return ", ".join(fields), " ".join(joins), total(costs)

    def _field(
        self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], alias: str | None, path: tuple[str, ...]
    ) -> tuple[str, Cost]:
        name = nodes[0].name.value
        if name == "__typename":
            return f"'{parent.name}'", lambda values: 0
        chosen = Chosen(parent.fields[name], nodes[0], asked_of(nodes), (*path, key))
        how, type, inner = reading(chosen.definition), chosen.type, chosen.selections
        match how.kind:
            case "column":
                long = costs_of(chosen.definition)
                return _column(type, name, how, str(alias)), lambda values: long
            case "embedded":
                value, long = f'{alias}."{how.name or snake(name)}"', self._long(type, inner)
                if isinstance(get_nullable_type(chosen.definition.type), GraphQLList):
                    long *= LIST_COSTS
                return self._embedded(chosen.definition.type, inner, value), lambda values: 1 + long
            case "one":
                return self._get(type, inner, f'{alias}."{how.by}"', chosen.path)
            case "get":
                return self._get(type, inner, lambda values: chosen.args(values)["id"], chosen.path)
            case "me":
                return self._get(type, inner, lambda values: values.person, chosen.path)
            case "node":
                by = f'{alias}."{how.by}"' if how.by else self.bind(lambda values: chosen.args(values)["id"], "text")
                return self._node(type, inner, by, chosen.path)
            case "nodes":
                return self._nodes(chosen)
            case "many":
                return self._many(chosen, how, str(alias), parent)
            case "connection":
                return connection(self, chosen, (how.on, str(alias)) if how.on else None)
            case "search":
                return search(self, chosen)
            case "late":
                return self._late(parent, chosen, how, alias)
        raise TypeError(f"{parent.name}.{name} has no reading")

    def _long(self, type: GraphQLNamedType, selections: Selections) -> int:
        # What the texts cost that are asked for of a part of a record.
        if not isinstance(type, GraphQLObjectType):
            return 0
        asked = (name for _, name, *_ in self.chosen(type, selections))
        return sum(costs_of(type.fields[name]) for name in asked if name in type.fields)

    def _embedded(self, type: Any, selections: Selections, value: str) -> str:
        if isinstance(type, GraphQLNonNull):
            type = type.of_type
        named, alias = object_of(type), f"e{self.alias()}"
        item = f"{alias}.v" if isinstance(type, GraphQLList) else value
        fields = []
        for key, name, _, asked, _ in self.chosen(named, selections):
            if name == "__typename":
                fields.append((key, f"'{named.name}'"))
                continue
            of = get_named_type(named.fields[name].type)
            raw, text = f"{item}->'{snake(name)}'", f"({item}->>'{snake(name)}')"
            if isinstance(of, GraphQLObjectType):
                raw = self._embedded(named.fields[name].type, asked, f"({raw})")
            elif isinstance(of, GraphQLEnumType):
                raw = f"upper{text}"
            elif of.name == "DateTime":
                raw = f"{text}::timestamptz"
            fields.append((key, raw))
        if not isinstance(type, GraphQLList):
            return f"CASE WHEN {value} IS NOT NULL THEN {built(fields)} END"
        every = f"json_array_elements({value}) WITH ORDINALITY AS {alias}(v, n)"
        return f"(SELECT coalesce(json_agg({built(fields)} ORDER BY {alias}.n), '[]'::json) FROM {every})"

    def _get(
        self, type: GraphQLNamedType, selections: Selections, id: str | Callable[[Values], Any], path: tuple[str, ...]
    ) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLObjectType)
        cls, alias = table_of(type), self.alias()
        assert cls is not None
        if not isinstance(id, str):
            # The id is known before anything is read: so are the records that belong to it.
            self.given[alias] = id
            id = self.bind(id, "text")
        if stands := bool(self.sources) and not self.stood:
            self.stood = alias
        rows = self.rows(cls.table, alias, stood=stands)
        fields, joins, cost = self.object(type, selections, alias, path)
        where = f'{rows.predicate} AND {alias}."{cls.key[0]}" = {id}'
        return record(f"SELECT {fields} FROM {rows.source} {joins} WHERE {where}"), cost

    def _node(self, type: GraphQLNamedType, selections: Selections, id: str, path: tuple[str, ...]) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLInterfaceType)
        found, costs, (among, self.among) = [], [], (self.among, None)
        for possible in self.schema.get_possible_types(type):
            cls = table_of(possible)
            if cls is not None and is_record(cls) and (among is None or cls in among):
                sql, cost = self._get(possible, selections, id, path)
                found.append(sql)
                costs.append(cost)
        return f"COALESCE({', '.join(found)})", lambda values: max(cost(values) for cost in costs)

    def _nodes(self, chosen: Chosen) -> tuple[str, Cost]:
        def ids(values: Values) -> list[str]:
            given: list[str] = chosen.args(values)["ids"]
            if len(given) > MAX_FIRST:
                raise BadInput(f"At most {MAX_FIRST} ids are looked up at once, not {len(given)}.", chosen.node)
            return given

        alias = self.alias()
        asked = f"unnest({self.bind(ids, 'text[]')}) WITH ORDINALITY AS {alias}(id, n)"
        sql, cost = self._node(chosen.type, chosen.selections, f"{alias}.id", chosen.path)
        every = f"(SELECT coalesce(json_agg({sql} ORDER BY {alias}.n), '[]'::json) FROM {asked})"
        return every, lambda values: len(chosen.args(values)["ids"]) * cost(values)

    def _many(self, chosen: Chosen, how: Reading, parent: str, owner: GraphQLObjectType) -> tuple[str, Cost]:
        type = object_of(chosen.type)
        cls, alias, over = table_of(type), self.alias(), table_of(owner)
        assert cls is not None
        reached = cls.within is not None and cls.within is over
        rows = self.rows(cls.table, alias, reached=reached, stood=parent == self.stood)
        fields, joins, cost = self.object(type, chosen.selections, alias, chosen.path)
        by = [f'{alias}."{name}"' for name in cls.key]
        if how.order:
            by.insert(0, f'{alias}."{how.order.lstrip("-")}"{" DESC" if how.order.startswith("-") else ""}')
        where = f'{rows.predicate} AND {alias}."{how.on}" = {parent}.id ORDER BY {", ".join(by)}'
        own, many = costs_of(chosen.definition), lambda values: LIST_COSTS
        if "first" in chosen.definition.args:
            many = lambda values: values.first(chosen.definition, chosen.node)  # noqa: E731
            where += f" LIMIT {self.bind(many, 'bigint')}"
        every = listed(f"SELECT {fields} FROM {rows.source} {joins} WHERE {where}")
        return every, lambda values: own + many(values) * cost(values)

    def _late(self, parent: GraphQLObjectType, chosen: Chosen, how: Reading, alias: str | None) -> tuple[str, Cost]:
        name, plan = chosen.node.name.value, None
        much = (costs_of(chosen.definition) or 1) + self._long(chosen.type, chosen.selections)
        cost: Cost = lambda values: much  # noqa: E731
        if name == "asOf":
            part, plan, inner = self._stood(chosen)
            cost = lambda values: much + inner(values)  # noqa: E731
            self.tables |= part.tables
        # Whatever else the value is made of: a name of a person's row, a former row of the events of its record.
        self.tables |= set(how.tables or ())
        volatile = bool(how.volatile) or (plan is not None and plan.volatile)
        late = Late(
            how.by or snake(name),
            parent,
            chosen.definition,
            chosen.node,
            chosen.selections,
            self.fragments,
            plan,
            volatile=volatile,
        )
        return self.put_off(late, chosen.path, *(f'{alias}."{each}"' for each in how.needs or ())), cost

    def _stood(self, chosen: Chosen) -> "tuple[Compiler, Plan, Cost]":
        # The record as it stood: the same selection over rows that were folded anew, in the place of the tables.
        of = object_of(chosen.definition.type)
        cls = table_of(of)
        assert cls is not None
        part = self.other()
        part.named = self.named
        part.bind(lambda values: values.rows[0], "text")
        sources = {}
        for n, table in enumerate(as_of_tables(cls), start=1):
            rows = part.bind(lambda values, n=n: values.rows[n], "text")  # type: ignore[misc]
            sources[table.table] = f'json_populate_recordset(NULL::{self.models}."{table.table}", {rows}::json)'
        part.sources = sources
        sql, cost = part._get(of, chosen.selections, "$2::text", ())
        # All rows are bound, also those of a table that nothing of is asked for.
        bound = " AND ".join(f"${n + 1}::text IS NOT NULL" for n in range(1, len(part.binders) + 1))
        return part, part.plan(f"SELECT {sql} WHERE {bound}", cost), cost


def _column(type: GraphQLNamedType, name: str, how: Reading, alias: str) -> str:
    if how.sql:
        return str(how.sql.format(t=alias))
    column = f'{alias}."{how.name or snake(name)}"'
    return f"upper({column})" if isinstance(type, GraphQLEnumType) else column


def as_of_tables(cls: type[Row]) -> list[type[Row]]:
    """The tables that a record is folded into: its own, and those within it."""
    return [cls, *(each for each in TABLES.values() if each.within is cls)]
