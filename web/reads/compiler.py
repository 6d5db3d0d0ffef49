"""From a validated operation to one SQL statement.

An object is a record, a to-one a lateral join, a list an aggregate over a sorted subquery, a connection a narrow page
of keys that the rest is joined to. ``$1`` is the viewer's principals. Every argument is a bind parameter; of the
request only response keys enter the text: GraphQL names, at most 63 bytes, quoted.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    get_named_type,
    get_nullable_type,
)
from graphql.execution.values import get_directive_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from hub.reading import Readable, readable
from hub.tables import TABLES, columns
from projections import words
from projections.core import Row, is_record
from web.reads.conditions import CONDITIONS, Asker
from web.reads.mapping import Reading, condition, order, reading, snake, table_of
from web.reads.plan import MAX_FOUND, BadInput, Cost, Late, Plan, Selections, Values, decode_cursor, moment
from web.reads.totals import Each, Wanted

ROW = '"#"'
"""What a row is called that becomes an object: no field of a response has a name like that."""
LIST_COSTS, TOTAL_COSTS, EACH_COSTS = 10, 100, 20
SAMPLED, MOST_RANKED = 70, 1_000
"""So many of the newest of a kind tell how common what is searched for is. Where one in five has it, so many hits, the
newest, are put in the order of how well they fit; else all are."""
LATE_COSTS = {
    "actions": 5,
    "asOf": 50,
    "changes": 20,
    "changed": 20,
    "region": 200,
    "collaborators": 50,
    "applications": 50,
}
LONG_COSTS = {
    **dict.fromkeys(("abstract", "summary", "before", "after", "leaf", "data"), 40),
    **dict.fromkeys(("harms", "safeguards"), 10),
    **dict.fromkeys(("contribution", "reason", "statusReason"), 4),
}
"""What a text costs each time that it is asked for, by any name: two for each thousand letters that it may have."""
_JOINT = {"organization", "proposal", "partner"}
LATE_TABLES = {
    "asOf": {"entry"},
    "investigatorName": {"person"},
    "actorName": {"person"},
    "region": {*_JOINT, "call"},
    "collaborators": _JOINT,
    "applications": _JOINT,
}
"""The tables that late values are made of, besides those that the statement names."""


_UNINDEXED = {"text": " || ''", "timestamptz": " + interval '0'", "bigint": " + 0"}
"""What makes of a column an expression of the same value and order, which no index has."""


@dataclass(frozen=True)
class _Item:
    """What an item of a page shows, and how it is joined to its place on the page."""

    fields: str
    source: str
    on: str
    joins: str
    cost: Cost


def _sum(costs: Iterable[Cost]) -> Cost:
    every = tuple(costs)
    return lambda values: 1 + sum(cost(values) for cost in every)


def _built(fields: Sequence[tuple[str, str]]) -> str:
    # An object whose values come from no row of its own. A function takes a hundred arguments.
    if len(fields) > 50:
        named = ", ".join(f'{sql} AS "{key}"' for key, sql in fields)
        return f"(SELECT row_to_json({ROW}) FROM (SELECT {named}) {ROW})"
    pairs = ", ".join(f"'{key}', {sql}" for key, sql in fields)
    return f"json_build_object({pairs})"


def _cursor(*expressions: str) -> str:
    array = f"json_build_array({', '.join(expressions)})::text"
    return f"translate(encode(convert_to({array}, 'UTF8'), 'base64'), E'\\n', '')"


def _listed(cls: type[Row], column: str, descends: bool) -> str:
    return f"{cls.table} {column}{' down' if descends else ''}"


@dataclass
class Compiler:
    """Compiles one operation, or one of its parts. ``sources`` puts other rows in the place of tables.

    ``wanted`` are the counts that are asked for beside the statement, by table; ``given`` the aliases of records whose
    id is known before anything is read; ``among`` the only types that the next node can be of.
    """

    schema: GraphQLSchema
    models: str
    fragments: Mapping[str, FragmentDefinitionNode]
    values: Values
    sources: Mapping[str, str] = field(default_factory=dict)
    named: bool = False
    binders: list[Callable[[Values], Any]] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    wanted: "dict[str, tuple[Compiler, Wanted]]" = field(default_factory=dict)
    by_words: bool = False
    walks: set[str] = field(default_factory=set)
    given: dict[str, Callable[[Values], Any]] = field(default_factory=dict)
    among: list[type[Row]] | None = None
    _aliases: int = 0

    def operation(self, root: GraphQLObjectType, selections: Selections) -> Plan:
        """The plan of a whole operation."""
        fields, costs = [], []
        for key, nodes in self.collect(root, selections).items():
            sql, cost = self._field(root, key, nodes, None, ())
            fields.append((key, sql))
            costs.append(cost)
        # The viewer is bound even where nothing that needs one is asked for.
        return self._plan(f"SELECT {_built(fields)} WHERE $1::text[] IS NOT NULL", _sum(costs))

    def standing(self, type: GraphQLObjectType, selections: Selections) -> Plan:
        """The plan of one row of this type, the first of the values' rows being its key."""
        cls = table_of(type)
        assert cls is not None
        id = self.bind(lambda values: values.rows[0], columns(cls)[cls.key[0]][0])
        sql, cost = self._get(type, selections, id, ())
        return self._plan(f"SELECT {sql}", cost)

    def happening(self, definition: GraphQLField, node: FieldNode, table: str | None) -> Plan:
        """Whether the viewer may see the event at a position, and its record, if there is one, fits the filter."""
        entry, alias = self.rows("entry", "happened"), self._alias()
        position = self.bind(lambda values: values.rows[1], "bigint")
        seen = f"EXISTS (SELECT {entry} AND happened.position = {position})"
        if table is None:
            return self._plan(f"SELECT {seen}", _sum(()))
        rows = self.rows(table, alias)
        id = self.bind(lambda values: values.rows[0], "text")
        where = " AND ".join(
            (rows.predicate, f"{alias}.id = {id}", *self._filters(definition, node, alias, TABLES[table]))
        )
        return self._plan(f"SELECT {seen} AND EXISTS (SELECT FROM {rows.source} WHERE {where})", _sum(()))

    def _plan(self, sql: str, cost: Cost) -> Plan:
        used = frozenset(self.tables)
        late, paths = tuple(self.late), frozenset(self.paths)
        totals = tuple(wanted.totals(part.binders, part.tables) for part, wanted in self.wanted.values())
        return Plan(sql, tuple(self.binders), late, paths, used, cost, totals, self.by_words, frozenset(self.walks))

    def bind(self, value: Callable[[Values], Any], type: str) -> str:
        """A parameter of the statement."""
        self.binders.append(value)
        return f"${len(self.binders) + 1}::{type}"

    def collect(self, type: GraphQLObjectType, selections: Selections) -> dict[str, list[FieldNode]]:
        """The fields that are selected on a type, by response key, in the order of the document."""
        found: dict[str, list[FieldNode]] = {}
        self._collect(type, selections, found, set())
        return found

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

    def rows(self, table: str, alias: str, reached: bool = False, filtered: bool = False) -> Readable:
        """The readable rows of a table."""
        self.tables.add(table)
        cls: type[Row] | None = TABLES[table]
        while cls := cls.within if cls else None:
            self.tables.add(cls.table)
        return readable(
            self.models, TABLES[table], alias=alias, sources=self.sources, reached=reached, filtered=filtered
        )

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _object(
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
                joined = f"j{self._alias()}"
                joins.append(f"LEFT JOIN LATERAL (SELECT {sql} AS j) {joined} ON true")
                sql = f"{joined}.j"
            fields.append(f'{sql} AS "{key}"')
            costs.append(cost)
        return ", ".join(fields), " ".join(joins), _sum(costs)

    def _field(
        self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], alias: str | None, path: tuple[str, ...]
    ) -> tuple[str, Cost]:
        name = nodes[0].name.value
        if name == "__typename":
            return f"'{parent.name}'", lambda values: 0
        definition = parent.fields[name]
        how = reading(definition)
        chosen = [node.selection_set for node in nodes if node.selection_set]
        type, here = get_named_type(definition.type), (*path, key)
        match how.kind:
            case "column":
                long = LONG_COSTS.get(name, 0)
                return self._column(type, name, how, str(alias)), lambda values: long
            case "embedded":
                value, long = f'{alias}."{how.name or snake(name)}"', self._long(type, chosen)
                if isinstance(get_nullable_type(definition.type), GraphQLList):
                    long *= LIST_COSTS
                return self._embedded(definition.type, chosen, value), lambda values: 1 + long
            case "one":
                return self._get(type, chosen, f'{alias}."{how.by}"', here)
            case "get":
                return self._get(type, chosen, lambda values: values.args(definition, nodes[0])["id"], here)
            case "me":
                return self._get(type, chosen, lambda values: values.person, here)
            case "node":
                by = how.by
                id = (
                    f'{alias}."{by}"'
                    if by
                    else self.bind(lambda values: values.args(definition, nodes[0])["id"], "text")
                )
                return self._node(type, chosen, id, here)
            case "many":
                return self._many(type, chosen, how, str(alias), here, parent)
            case "connection":
                over = (how.on, str(alias)) if how.on else None
                return self._connection(definition, nodes[0], type, chosen, over, here)
            case "search":
                return self._search(definition, nodes[0], type, chosen, here)
            case "late":
                return self._late(parent, definition, nodes[0], how, chosen, alias, here)
        raise TypeError(f"{parent.name}.{name} has no reading")

    def _long(self, type: GraphQLNamedType, selections: Selections) -> int:
        # What the texts cost that are asked for of a part of a record.
        if not isinstance(type, GraphQLObjectType):
            return 0
        return sum(LONG_COSTS.get(nodes[0].name.value, 0) for nodes in self.collect(type, selections).values())

    def _column(self, type: GraphQLNamedType, name: str, how: Reading, alias: str) -> str:
        if how.sql:
            return how.sql.format(t=alias)
        column = f'{alias}."{how.name or snake(name)}"'
        return f"upper({column})" if isinstance(type, GraphQLEnumType) else column

    def _embedded(self, type: Any, selections: Selections, value: str) -> str:
        if isinstance(type, GraphQLNonNull):
            type = type.of_type
        named, alias = get_named_type(type), f"e{self._alias()}"
        assert isinstance(named, GraphQLObjectType)
        item = f"{alias}.v" if isinstance(type, GraphQLList) else value
        fields = []
        for key, nodes in self.collect(named, selections).items():
            name = nodes[0].name.value
            if name == "__typename":
                fields.append((key, f"'{named.name}'"))
                continue
            of = get_named_type(named.fields[name].type)
            raw, text = f"{item}->'{snake(name)}'", f"({item}->>'{snake(name)}')"
            if isinstance(of, GraphQLEnumType):
                raw = f"upper{text}"
            elif of.name == "DateTime":
                raw = f"{text}::timestamptz"
            fields.append((key, raw))
        if not isinstance(type, GraphQLList):
            return f"CASE WHEN {value} IS NOT NULL THEN {_built(fields)} END"
        every = f"json_array_elements({value}) WITH ORDINALITY AS {alias}(v, n)"
        return f"(SELECT coalesce(json_agg({_built(fields)} ORDER BY {alias}.n), '[]'::json) FROM {every})"

    def _get(
        self, type: GraphQLNamedType, selections: Selections, id: str | Callable[[Values], Any], path: tuple[str, ...]
    ) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLObjectType)
        cls, alias = table_of(type), self._alias()
        assert cls is not None
        if not isinstance(id, str):
            # The id is known before anything is read: so are the records that belong to it.
            self.given[alias] = id
            id = self.bind(id, "text")
        rows = self.rows(cls.table, alias)
        fields, joins, cost = self._object(type, selections, alias, path)
        where = f'{rows.predicate} AND {alias}."{cls.key[0]}" = {id}'
        return self._record(f"SELECT {fields} FROM {rows.source} {joins} WHERE {where}"), cost

    @staticmethod
    def _record(select: str) -> str:
        return f"(SELECT row_to_json({ROW}) FROM ({select}) {ROW})"

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

    def _many(
        self,
        type: GraphQLNamedType,
        selections: Selections,
        how: Reading,
        parent: str,
        path: tuple[str, ...],
        owner: GraphQLObjectType,
    ) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLObjectType)
        cls, alias, over = table_of(type), self._alias(), table_of(owner)
        assert cls is not None
        rows = self.rows(cls.table, alias, reached=cls.within is not None and cls.within is over)
        fields, joins, cost = self._object(type, selections, alias, path)
        first = (how.order,) if how.order else ()
        keys = ", ".join(f'{alias}."{name}"' for name in (*first, *cls.key))
        inner = (
            f'SELECT {fields} FROM {rows.source} {joins} WHERE {rows.predicate} AND {alias}."{how.on}" = {parent}.id'
            f" ORDER BY {keys}"
        )
        return (
            f"(SELECT coalesce(json_agg({ROW}), '[]'::json) FROM ({inner}) {ROW})",
            lambda values: LIST_COSTS * cost(values),
        )

    def _filters(
        self,
        definition: GraphQLField,
        node: FieldNode,
        alias: str,
        cls: type[Row],
        on: str | None = None,
        by_words: bool = True,
        exact: bool = False,
    ) -> Iterator[str]:
        if on:
            yield f"{alias}.{on}"
        given = self.values.args(definition, node).get("where")
        argument = definition.args.get("where")
        if not given or argument is None:
            return
        type = get_named_type(argument.type)
        assert isinstance(type, GraphQLInputObjectType)

        def value(name: str) -> Callable[[Values], Any]:
            return lambda values: values.args(definition, node)["where"][name]

        asker = Asker(
            lambda table, alias: str(self.rows(table, alias, reached=True)),
            lambda kind: f"ANY({self.bind(lambda values: values.offices(kind), 'text[]')})",
            lambda: self.bind(lambda values: values.person if values.person in values.principals else "", "text"),
        )
        for name, filtered in type.fields.items():
            if given.get(name) is None:
                continue
            how, of, get = condition(filtered), get_named_type(filtered.type), value(name)
            sql_type = {"Boolean": "boolean", "Int": "bigint", "DateTime": "timestamptz"}.get(of.name, "text")
            if how.kind == "text":
                if exact:
                    query = self.bind(lambda values, get=get: words.query(get(values)), "text")  # type: ignore[misc]
                    yield f"{alias}.search @@ {query}::tsquery"
                elif by_words:
                    yield self._found(definition, node, alias, cls, on, get)
            elif how.kind == "condition" and sql_type == "boolean":
                # Its value is of the plan's shape: as plain text an index can serve it.
                holds = CONDITIONS[how.name](alias, "", asker)
                yield holds if given[name] else f"NOT {holds}"
            elif how.kind == "condition":
                yield CONDITIONS[how.name](alias, self.bind(get, sql_type), asker)
            elif isinstance(of, GraphQLEnumType):
                lowered = lambda values, get=get: [each.lower() for each in get(values)]  # noqa: E731
                yield f'{alias}."{how.name or snake(name)}" = ANY({self.bind(lowered, "text[]")})'
            elif isinstance(filtered.type, GraphQLList):
                yield f'{alias}."{how.name or snake(name)}" = ANY({self.bind(get, sql_type + "[]")})'
            else:
                yield f'{alias}."{how.name or snake(name)}" = {self.bind(get, sql_type)}'

    def _found(
        self,
        definition: GraphQLField,
        node: FieldNode,
        alias: str,
        cls: type[Row],
        on: str | None,
        text: Callable[[Values], str],
    ) -> str:
        self.by_words = True
        query = self.bind(lambda values: words.query(text(values)), "text")
        typed = self.bind(lambda values: _typed(text(values)), "text")
        fits, other = f"search @@ {query}::tsquery", self._alias()
        rows, rest = self.rows(cls.table, other, filtered=True), self._filters(definition, node, other, cls, on, False)
        # Null where the list has the words as typed: an index of trigrams is then not even opened.
        some = f"SELECT FROM {rows.source} WHERE {' AND '.join((rows.predicate, *rest))} AND {other}.{fits}"
        misspelled = f"(SELECT CASE WHEN EXISTS ({some}) THEN NULL ELSE {typed} END)"
        like = " OR ".join(f'{misspelled} <% {alias}."{name}"' for name in cls.fuzzy)
        return f"({alias}.{fits} OR {like})"

    def _connection(
        self,
        definition: GraphQLField,
        node: FieldNode,
        type: GraphQLNamedType,
        selections: Selections,
        over: tuple[str, str] | None,
        path: tuple[str, ...],
    ) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLObjectType)
        of = get_named_type(type.fields["nodes"].type)
        assert isinstance(of, GraphQLObjectType)
        cls = table_of(of)
        assert cls is not None
        by = definition.args.get("orderBy")
        column, descends = (cls.key[0], cls.table == "entry")
        if by is not None:
            orders = get_named_type(by.type)
            assert isinstance(orders, GraphQLEnumType)
            chosen = self.values.args(definition, node)["orderBy"]
            column, descends = order(orders.values[chosen], self.values.language)
        counts = any(nodes[0].name.value == "totalCount" for nodes in self.collect(type, selections).values())
        total, counting, each = "", TOTAL_COSTS if counts else 0, None
        on = f'"{over[0]}" = {over[1]}.id' if over else None
        if counts and not self.sources and (over is None or over[1] in self.given):
            n = self._total(definition, node, cls, over)
            if n in self.values.empty:
                return self._empty(type, selections, self.values.args(definition, node)), lambda values: 1
            total = self.bind(lambda values: values.totals[n], "bigint")
        elif counts and not self.sources and over is not None:
            each = self._each(definition, node, cls, over[0])
            counting = EACH_COSTS if each else TOTAL_COSTS
        if over is None or cls.table != "entry":
            # A record's own history is found by the record; any other list may have all that there is, or nothing.
            self.walks.add(cls.table)
        key, alias, page = cls.key[0], self._alias(), f"p{self._alias()}"
        rows = self.rows(cls.table, alias)
        where = " AND ".join((rows.predicate, *self._filters(definition, node, alias, cls, on)))
        first = self.bind(lambda values: values.first(definition, node), "bigint")
        after = ""
        if self.values.args(definition, node).get("after") is not None:
            after = f" AND {self._after(definition, node, cls, alias, column, key, descends)}"
        direction = "DESC" if descends else "ASC"
        first_by = f'{alias}."{column}"'
        if cls.table in self.values.narrow:
            # Of these rows few may be read: they are found by their readers and sorted, not met on a walk over all.
            first_by += _UNINDEXED[columns(cls)[column][0]]
        ordered = f"{first_by} {direction}" + (f', {alias}."{key}" {direction}' if column != key else "")
        if column == key and (bare := self._bare(type, of, selections, rows, alias, path)):
            sql, cost = bare(f"{where}{after} ORDER BY {ordered} LIMIT {first}")
            return sql, lambda values: 1 + values.first(definition, node) * cost(values)
        kept = ", ".join(f'{alias}."{name}" AS k{n}' for n, name in enumerate(dict.fromkeys((key, column))))
        # Of which list and order it is: in another one it would lead anywhere.
        listed = f"'{_listed(cls, column, descends)}'::text"
        cursor = _cursor(*(f"{page}.k{n}" for n in ((1, 0) if column != key else (0, 0))), listed)
        inner = f"SELECT {kept} FROM {rows.source} WHERE {where}{after} ORDER BY {ordered} LIMIT {first} + 1"
        with_page = f"WITH {page} AS MATERIALIZED (SELECT *, row_number() OVER () AS n FROM ({inner}) p)"

        total = total or f"(SELECT count(*) FROM {rows.source} WHERE {where})"

        def counted(counted: FieldNode, here: tuple[str, ...]) -> str:
            if each is None or over is None:
                return total
            self.paths.add(here)
            late = Late("totalCount", type, type.fields["totalCount"], counted, (), self.fragments, counts=each)
            self.late.append(late)
            return f"json_build_array({len(self.late) - 1}, {over[1]}.id)"

        sql, cost = self._page(type, of, selections, page, cursor, first, counted, bool(after), path, cls, key)
        return f"({with_page} {sql})", lambda values: 1 + counting + values.first(definition, node) * cost(values)

    def _bare(
        self,
        type: GraphQLObjectType,
        of: GraphQLObjectType,
        selections: Selections,
        rows: Readable,
        alias: str,
        path: tuple[str, ...],
    ) -> Callable[[str], tuple[str, Cost]] | None:
        # Of a list in the order of its key nothing but rows is asked for: there is no page to be remembered.
        chosen = self.collect(type, selections)
        if {nodes[0].name.value for nodes in chosen.values()} - {"__typename"} != {"nodes"}:
            return None

        def listed(where: str) -> tuple[str, Cost]:
            fields, costs = [], []
            for response, nodes in chosen.items():
                sql = f"'{type.name}'"
                if nodes[0].name.value == "nodes":
                    inner = [node.selection_set for node in nodes if node.selection_set]
                    shown, joins, cost = self._object(of, inner, alias, (*path, response))
                    every = f"SELECT {shown} FROM {rows.source} {joins} WHERE {where}"
                    sql = f"(SELECT coalesce(json_agg({ROW}), '[]'::json) FROM ({every}) {ROW})"
                    costs.append(cost)
                fields.append((response, sql))
            each = tuple(costs)
            return _built(fields), lambda values: sum(cost(values) for cost in each)

        return listed

    def _empty(self, type: GraphQLObjectType, selections: Selections, args: Mapping[str, Any]) -> str:
        # The page of a list that is known to have nothing: PostgreSQL has nothing to plan for it.
        after = "true" if args.get("after") is not None else "false"
        constants = {
            "totalCount": "0",
            "nodes": "'[]'::json",
            "edges": "'[]'::json",
            "hasNextPage": "false",
            "hasPreviousPage": after,
            "startCursor": "NULL",
            "endCursor": "NULL",
        }

        def empty(of: GraphQLObjectType, chosen: Selections) -> str:
            found = []
            for response, nodes in self.collect(of, chosen).items():
                name = nodes[0].name.value
                if name == "__typename":
                    sql = f"'{of.name}'"
                elif name == "pageInfo":
                    info = get_named_type(of.fields[name].type)
                    assert isinstance(info, GraphQLObjectType)
                    inner = [node.selection_set for node in nodes if node.selection_set]
                    sql = empty(info, inner)
                else:
                    sql = constants[name]
                found.append((response, sql))
            return _built(found)

        return empty(type, selections)

    def _total(self, definition: GraphQLField, node: FieldNode, cls: type[Row], over: tuple[str, str] | None) -> int:
        # The number of a whole list's count. It is the same on every page, and kept: it is not a part of the statement.
        alias = "counted"
        if cls.table not in self.wanted:
            part = Compiler(self.schema, self.models, self.fragments, self.values)
            self.wanted[cls.table] = part, Wanted(part.rows(cls.table, alias).source, cls.table)
        part, wanted = self.wanted[cls.table]
        other = Compiler(self.schema, self.models, self.fragments, self.values)
        rows = other.rows(cls.table, alias)

        def condition(compiler: Compiler, exact: bool) -> str:
            on = f'"{over[0]}" = {compiler.bind(self.given[over[1]], "text")}' if over else None
            return " AND ".join((rows.predicate, *compiler._filters(definition, node, alias, cls, on, exact=exact)))

        wanted.conditions.append(condition(part, True))
        plain = other._plan(f"SELECT count(*) FROM {rows.source} WHERE {condition(other, False)}", _sum(()))
        wanted.lenient.append(plain if other.by_words else None)
        n = sum(len(each.numbers) for _, each in self.wanted.values())
        wanted.numbers.append(n)
        return n

    def _each(self, definition: GraphQLField, node: FieldNode, cls: type[Row], on: str) -> Each | None:
        # What counts what belongs to each of many records, all at once; nothing where words are looked for.
        part = Compiler(self.schema, self.models, self.fragments, self.values)
        rows = part.rows(cls.table, "counted")
        where = " AND ".join((rows.predicate, *part._filters(definition, node, "counted", cls)))
        self.tables |= part.tables
        return None if part.by_words else Each.of(cls.table, on, rows.source, where, part.binders, part.tables)

    def _after(
        self,
        definition: GraphQLField,
        node: FieldNode,
        cls: type[Row],
        alias: str,
        column: str,
        key: str,
        descends: bool,
    ) -> str:
        own, listed = columns(cls), _listed(cls, column, descends)

        def part(n: int, type: str) -> Callable[[Values], Any]:
            def value(values: Values) -> Any:
                *keys, of = decode_cursor(values.args(definition, node)["after"], node, 3)
                found = keys[n]
                if of != listed:
                    raise BadInput("`after` is a cursor of another list or order: take it from this one.", node)
                if type == "timestamptz":
                    return moment(found, node)
                if isinstance(found, int) != (type == "bigint") or (type == "bigint" and abs(found) >= 2**63):
                    raise BadInput("`after` is no cursor of this list: take it from `pageInfo.endCursor`.", node)
                return found

            return value

        type = own[column][0]
        beyond = "<" if descends else ">"
        if column == key:
            return f'{alias}."{key}" {beyond} {self.bind(part(0, type), type)}'
        pair = f"({self.bind(part(0, type), type)}, {self.bind(part(1, 'text'), 'text')})"
        return f'({alias}."{column}", {alias}."{key}") {beyond} {pair}'

    def _page(
        self,
        type: GraphQLObjectType,
        of: GraphQLObjectType,
        selections: Selections,
        page: str,
        cursor: str,
        first: str,
        total: Callable[[FieldNode, tuple[str, ...]], str],
        after: bool,
        path: tuple[str, ...],
        cls: type[Row] | None,
        key: str,
    ) -> tuple[str, Cost]:
        fields, costs = [], []
        for response, nodes in self.collect(type, selections).items():
            name, chosen = nodes[0].name.value, [node.selection_set for node in nodes if node.selection_set]
            here = (*path, response)
            match name:
                case "__typename":
                    sql = f"'{type.name}'"
                case "totalCount":
                    sql = total(nodes[0], here)
                case "pageInfo":
                    sql = self._page_info(type, chosen, page, cursor, first, after)
                case "nodes":
                    item = self._item(of, chosen, page, cls, key, here)
                    costs.append(item.cost)
                    sql = (
                        f"(SELECT coalesce(json_agg({ROW}), '[]'::json) FROM (SELECT {item.fields} FROM {page}"
                        f" JOIN {item.source} ON {item.on} {item.joins} WHERE {page}.n <= {first}"
                        f" ORDER BY {page}.n) {ROW})"
                    )
                case "edges":
                    sql, cost = self._edges(type, of, chosen, page, cursor, first, here, cls, key)
                    costs.append(cost)
                case _:
                    raise TypeError(f"{type.name}.{name} has no reading")
            fields.append((response, sql))
        each = tuple(costs)
        return f"SELECT {_built(fields)}", lambda v: sum(cost(v) for cost in each)

    def _item(
        self,
        of: GraphQLObjectType,
        selections: Selections,
        page: str,
        cls: type[Row] | None,
        key: str,
        path: tuple[str, ...],
    ) -> "_Item":
        if cls is None:
            fields, joins, cost = self._object(of, selections, page, path)
            return _Item(fields, "(SELECT 1) one", "true", joins, cost)
        alias = self._alias()
        fields, joins, cost = self._object(of, selections, alias, path)
        # The page was readable: its keys alone say what is joined here.
        source = self.rows(cls.table, alias).source
        return _Item(fields, source, f'{alias}."{key}" = {page}.k0', joins, cost)

    def _edges(
        self,
        type: GraphQLObjectType,
        of: GraphQLObjectType,
        selections: Selections,
        page: str,
        cursor: str,
        first: str,
        path: tuple[str, ...],
        cls: type[Row] | None,
        key: str,
    ) -> tuple[str, Cost]:
        edge = get_named_type(type.fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        fields, joins, costs = [], [], []
        for response, nodes in self.collect(edge, selections).items():
            name, chosen = nodes[0].name.value, [node.selection_set for node in nodes if node.selection_set]
            if name == "__typename":
                fields.append(f"'{edge.name}' AS \"{response}\"")
            elif name == "cursor":
                fields.append(f'{cursor} AS "{response}"')
            else:
                item, joined = self._item(of, chosen, page, cls, key, (*path, response)), f"j{self._alias()}"
                select = f"SELECT {item.fields} FROM {item.source} {item.joins} WHERE {item.on}"
                joins.append(f"JOIN LATERAL (SELECT row_to_json({ROW}) AS j FROM ({select}) {ROW}) {joined} ON true")
                fields.append(f'{joined}.j AS "{response}"')
                costs.append(item.cost)
        sql = (
            f"(SELECT coalesce(json_agg({ROW}), '[]'::json) FROM (SELECT {', '.join(fields)} FROM {page}"
            f" {' '.join(joins)} WHERE {page}.n <= {first} ORDER BY {page}.n) {ROW})"
        )
        return sql, _sum(costs)

    def _page_info(
        self, type: GraphQLObjectType, selections: Selections, page: str, cursor: str, first: str, after: bool
    ) -> str:
        info = get_named_type(type.fields["pageInfo"].type)
        assert isinstance(info, GraphQLObjectType)
        fields = []
        for response, nodes in self.collect(info, selections).items():
            sql = {
                "__typename": f"'{info.name}'",
                "hasNextPage": f"(SELECT count(*) > {first} FROM {page})",
                "hasPreviousPage": "true" if after else "false",
                "startCursor": f"(SELECT {cursor} FROM {page} WHERE {page}.n = 1 AND {first} > 0)",
                "endCursor": f"(SELECT {cursor} FROM {page} WHERE {page}.n <= {first} ORDER BY {page}.n DESC LIMIT 1)",
            }[nodes[0].name.value]
            fields.append((response, sql))
        return _built(fields)

    def _search(
        self,
        definition: GraphQLField,
        node: FieldNode,
        type: GraphQLNamedType,
        selections: Selections,
        path: tuple[str, ...],
    ) -> tuple[str, Cost]:
        assert isinstance(type, GraphQLObjectType)
        of = get_named_type(type.fields["nodes"].type)
        assert isinstance(of, GraphQLObjectType)

        def text(values: Values) -> str:
            return values.args(definition, node)["text"]

        def skipped(values: Values) -> int:
            after = values.args(definition, node).get("after")
            found = decode_cursor(after, node, 1)[0] if after is not None else 0
            if not isinstance(found, int) or not 0 <= found <= 10_000:
                raise BadInput("`after` is no cursor of this search.", node)
            return found

        kinds = self.values.args(definition, node).get("kinds")
        tables = [cls for cls in TABLES.values() if cls.search and (kinds is None or cls.table.upper() in kinds)]
        first = self.bind(lambda values: values.first(definition, node, MAX_FOUND), "bigint")
        skip = self.bind(skipped, "bigint")
        if not tables:
            # What a page is asked for is looked at all the same: what it cannot be is refused.
            empty = self._empty(type, selections, self.values.args(definition, node))
            return f"(SELECT e.j FROM (SELECT {empty} AS j) e WHERE {first} + {skip} IS NOT NULL)", lambda _: LIST_COSTS
        query, typed = (
            self.bind(lambda values: words.query(text(values)), "text"),
            self.bind(lambda v: _typed(text(v)), "text"),
        )
        # Who may read few is served by those few or by the words, as the values tell; others by the words alone, and
        # then no value changes the plan.
        either = any(cls.table in self.values.narrow for cls in tables)
        wanted = f"{query}::tsquery" if either else f"(SELECT {query}::tsquery)"
        self.by_words |= either
        often, exact, close = [], [], []
        as_typed = f"x{self._alias()}"
        for cls in tables:
            alias = self._alias()
            rows = self.rows(cls.table, alias, filtered=cls.table not in self.values.narrow)
            kind = cls.table.upper()
            hit = f"SELECT '{kind}' AS kind, {alias}.id, {alias}.\"{cls.search[0]}\" AS title"
            fits = f"{alias}.search @@ {wanted}"
            ranked = f"{hit}, 1 + ts_rank({alias}.search, {wanted}) AS rank"
            if cls.table in self.values.narrow:
                exact.append(f"{ranked} {rows} AND {fits}")
            else:
                # Words that many of the newest have are soon met among the newest; others are found by their index.
                newest = next((f'{alias}."{name[1:]}" DESC, ' for name in cls.index if name.startswith("-")), "")
                # The planner expects few readable rows, and few with these words. Behind an OFFSET it knows of neither,
                # and walks along the order.
                walk = f"(SELECT {alias}.* FROM {rows.source} ORDER BY {newest}{alias}.id DESC OFFSET 0) {alias}"
                walk = f"FROM {walk} WHERE {rows.predicate}"
                sample, many = f"{as_typed}{kind}", f"(SELECT s.many FROM {as_typed}{kind} s)"
                common = (
                    f"SELECT count(*) >= {SAMPLED // 5} AS many FROM (SELECT {alias}.search {walk} LIMIT {SAMPLED}) s"
                )
                often.append(f"{sample} AS MATERIALIZED ({common} WHERE s.search @@ {wanted})")
                exact.append(f"{ranked} {rows} AND {fits} AND NOT {many}")
                met = f"SELECT {alias}.* {walk} AND {many} AND {fits} LIMIT {MOST_RANKED}"
                exact.append(f"{ranked} FROM ({met}) {alias}")
            like = ", ".join(f'word_similarity({typed}, {alias}."{name}")' for name in cls.fuzzy)
            any_close = " OR ".join(f'{typed} <% {alias}."{name}"' for name in cls.fuzzy)
            # Misspelled words come last, so they are looked for only where the rest does not fill the page.
            few = f"(SELECT count(*) FROM {as_typed}) <= {first} + {skip}"
            close.append(f"{hit}, greatest({like}) AS rank {rows} AND {few} AND ({any_close}) AND ({fits}) IS NOT TRUE")
        page = f"p{self._alias()}"
        hits = f"SELECT * FROM {as_typed} UNION ALL {' UNION ALL '.join(close)}"
        found = f"SELECT * FROM ({hits}) h ORDER BY rank DESC, id LIMIT {first} + 1 OFFSET {skip}"
        numbered = f"SELECT *, row_number() OVER () AS n FROM ({found}) p"
        found_by = (
            *often,
            f"{as_typed} AS MATERIALIZED ({' UNION ALL '.join(exact)})",
            f"{page} AS MATERIALIZED ({numbered})",
        )
        with_page = f"WITH {', '.join(found_by)}"
        after = self.values.args(definition, node).get("after") is not None
        self.among = tables
        sql, cost = self._page(
            type, of, selections, page, _cursor(f"{skip} + {page}.n"), first, lambda *_: "0", after, path, None, "id"
        )
        self.among = None
        return f"({with_page} {sql})", lambda values: 10 + values.first(definition, node, MAX_FOUND) * cost(values)

    def _late(
        self,
        parent: GraphQLObjectType,
        definition: GraphQLField,
        node: FieldNode,
        how: Reading,
        selections: Selections,
        alias: str | None,
        path: tuple[str, ...],
    ) -> tuple[str, Cost]:
        name, plan = node.name.value, None
        costs = LATE_COSTS.get(name, 1) + self._long(get_named_type(definition.type), selections)
        cost: Cost = lambda values: costs  # noqa: E731
        if name == "asOf":
            # The record as it stood: the same selection over rows that were folded anew, in the place of the tables.
            of = get_named_type(definition.type)
            assert isinstance(of, GraphQLObjectType)
            cls = table_of(of)
            assert cls is not None
            part = Compiler(self.schema, self.models, self.fragments, self.values, named=self.named)
            part.bind(lambda values: values.rows[0], "text")
            sources = {}
            for n, table in enumerate(as_of_tables(cls), start=1):
                rows = part.bind(lambda values, n=n: values.rows[n], "text")  # type: ignore[misc]
                sources[table.table] = f'json_populate_recordset(NULL::{self.models}."{table.table}", {rows}::json)'
            part.sources = sources
            sql, inner = part._get(of, selections, "$2::text", ())
            # All rows are bound, also those of a table that nothing of is asked for.
            bound = " AND ".join(f"${n + 1}::text IS NOT NULL" for n in range(1, len(part.binders) + 1))
            plan = part._plan(f"SELECT {sql} WHERE {bound}", inner)
            cost = lambda values: costs + inner(values)  # noqa: E731
            self.tables |= part.tables
        # Whatever else the value is made of: a name of a person's row, a former row of the events of its record.
        self.tables |= LATE_TABLES.get(name, set())
        self.paths.add(path)
        self.late.append(Late(name, parent, definition, node, selections, self.fragments, plan))
        needs = ", ".join(("", *(f'{alias}."{each}"' for each in how.needs or ())))
        return f"json_build_array({len(self.late) - 1}{needs})", cost


def as_of_tables(cls: type[Row]) -> list[type[Row]]:
    """The tables that a record is folded into: its own, and those within it."""
    return [cls, *(each for each in TABLES.values() if each.within is cls)]


def _typed(text: str) -> str:
    return unicodedata.normalize("NFC", text[: words.LOOKED_FOR]).replace("\0", "")
