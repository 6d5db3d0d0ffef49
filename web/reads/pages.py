"""The page of a connection: a narrow page of keys, to which everything else that is asked for is joined."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import EnumValueNode, FieldNode, GraphQLArgument, GraphQLEnumType, GraphQLObjectType, get_named_type

from hub.reading import Readable
from hub.tables import columns
from projections.core import Row
from web.reads import counts
from web.reads.filters import filters
from web.reads.mapping import order, table_of
from web.reads.plan import BadInput, Cost, Late, Selections, Values, decode_cursor, moment
from web.reads.statement import ROW, Chosen, Statement, built, listed, total

if TYPE_CHECKING:
    from web.reads.compiler import Compiler

TOTAL_COSTS, EACH_COSTS = 100, 20
_UNINDEXED = {"text": " || ''", "timestamptz": " + interval '0'", "bigint": " + 0"}
"""What makes of a column an expression of the same value and order, which no index has."""


def object_of(type: Any) -> GraphQLObjectType:
    """The object type that a field is of, or lists."""
    named = get_named_type(type)
    assert isinstance(named, GraphQLObjectType)
    return named


def cursor_of(*expressions: str) -> str:
    """A cursor that holds these values."""
    array = f"json_build_array({', '.join(expressions)})::text"
    return f"translate(encode(convert_to({array}, 'UTF8'), 'base64'), E'\\n', '')"


def usual_of(argument: GraphQLArgument) -> str:
    """The order in which a list is shown where none is asked for."""
    usual = argument.default.literal if argument.default else None
    assert isinstance(usual, EnumValueNode)
    return usual.value


@dataclass(frozen=True)
class Order:
    """The order of a list's rows."""

    cls: type[Row]
    column: str
    descends: bool

    @classmethod
    def of(cls, rows: type[Row], chosen: Chosen, values: Values) -> "Order":
        """As it is asked for, or usual; else by the rows' key, events from the newest on."""
        if (by := chosen.definition.args.get("orderBy")) is None:
            return cls(rows, rows.key[0], rows.table == "entry")
        orders = get_named_type(by.type)
        assert isinstance(orders, GraphQLEnumType)
        # Null is the usual order, as where nothing is asked for: many clients' types cannot tell the two apart.
        asked = chosen.args(values).get("orderBy") or usual_of(by)
        return cls(rows, *order(orders.values[asked], values.language))

    @property
    def key(self) -> str:
        """What tells rows apart that this order does not."""
        return self.cls.key[0]

    @property
    def by_key(self) -> bool:
        """Whether the key alone is the order."""
        return self.column == self.key

    @property
    def name(self) -> str:
        """Of which list and order a cursor is: in another one it would lead anywhere."""
        return f"{self.cls.table} {self.column}{' down' if self.descends else ''}"

    def sql(self, alias: str, few: bool) -> str:
        """What stands after ``ORDER BY``; ``few`` of the rows may be read."""
        direction = "DESC" if self.descends else "ASC"
        # Few are found by their readers and sorted, not met on a walk over all.
        first = f'{alias}."{self.column}"' + (_UNINDEXED[columns(self.cls)[self.column][0]] if few else "")
        return f"{first} {direction}" + (f', {alias}."{self.key}" {direction}' if not self.by_key else "")

    def after(self, statement: Statement, chosen: Chosen, alias: str) -> str:
        """What rows meet that stand behind the cursor."""
        own = columns(self.cls)
        type, beyond = own[self.column][0], "<" if self.descends else ">"
        first = statement.bind(lambda values: self._part(chosen, values, 0, type), type)
        if self.by_key:
            return f'{alias}."{self.key}" {beyond} {first}'
        second = statement.bind(lambda values: self._part(chosen, values, 1, "text"), "text")
        return f'({alias}."{self.column}", {alias}."{self.key}") {beyond} ({first}, {second})'

    def _part(self, chosen: Chosen, values: Values, n: int, type: str) -> Any:
        *keys, of = decode_cursor(chosen.args(values)["after"], chosen.node, 3)
        found = keys[n]
        if of != self.name:
            raise BadInput("`after` is a cursor of another list or order: take it from this one.", chosen.node)
        if type == "timestamptz":
            return moment(found, chosen.node)
        if isinstance(found, int) != (type == "bigint") or (type == "bigint" and abs(found) >= 2**63):
            raise BadInput("`after` is no cursor of this list: take it from `pageInfo.endCursor`.", chosen.node)
        return found


def connection(compiler: "Compiler", chosen: Chosen, over: tuple[str, str] | None) -> tuple[str, Cost]:
    """A page of a list; ``over`` is the column by which its rows belong to a record, and that record's alias."""
    type, values = object_of(chosen.type), compiler.values
    of = object_of(type.fields["nodes"].type)
    cls = table_of(of)
    assert cls is not None
    ordered = Order.of(cls, chosen, values)
    counts_them = any(name == "totalCount" for _, name, *_ in compiler.chosen(type, chosen.selections))
    count, counting, each = "", TOTAL_COSTS if counts_them else 0, None
    on = f'"{over[0]}" = {over[1]}.id' if over else None
    if counts_them and not compiler.sources and (over is None or over[1] in compiler.given):
        n = counts.whole(compiler, chosen, cls, over)
        if n in values.empty:
            return empty(compiler, type, chosen.selections, chosen.args(values)), lambda values: 1
        count = compiler.bind(lambda values: values.totals[n], "bigint")
    elif counts_them and not compiler.sources and over is not None:
        each = counts.of_each(compiler, chosen, cls, over[0])
        counting = EACH_COSTS if each else TOTAL_COSTS
    if over is None or cls.table != "entry":
        # A record's own history is found by the record; any other list may have all that there is, or nothing.
        compiler.walks.add(cls.table)
    alias, page = compiler.alias(), f"p{compiler.alias()}"
    rows = compiler.rows(cls.table, alias)
    where = " AND ".join((rows.predicate, *filters(compiler, chosen, alias, cls, on)))
    first = compiler.bind(lambda values: values.first(chosen.definition, chosen.node), "bigint")
    has_after = chosen.args(values).get("after") is not None
    behind = f" AND {ordered.after(compiler, chosen, alias)}" if has_after else ""
    sorted_by = ordered.sql(alias, few=cls.table in values.narrow)
    if ordered.by_key and (bare := _bare(compiler, type, of, chosen, rows, alias)):
        sql, cost = bare(f"{where}{behind} ORDER BY {sorted_by} LIMIT {first}")
        return sql, lambda values: 1 + values.first(chosen.definition, chosen.node) * cost(values)
    kept = (f'{alias}."{name}" AS k{n}' for n, name in enumerate(dict.fromkeys((ordered.key, ordered.column))))
    cursor = cursor_of(*(f"{page}.k{n}" for n in ((0, 0) if ordered.by_key else (1, 0))), f"'{ordered.name}'::text")
    inner = f"SELECT {', '.join(kept)} FROM {rows.source} WHERE {where}{behind} ORDER BY {sorted_by} LIMIT {first} + 1"
    with_page = f"WITH {page} AS MATERIALIZED (SELECT *, row_number() OVER () AS n FROM ({inner}) p)"
    count = count or f"(SELECT count(*) FROM {rows.source} WHERE {where})"

    def counted(node: FieldNode, here: tuple[str, ...]) -> str:
        if each is None or over is None:
            return count
        late = Late("belonging", type, type.fields["totalCount"], node, (), compiler.fragments, counts=each)
        return compiler.put_off(late, here, f"{over[1]}.id")

    shown = Page(compiler, type, of, page, cursor, first, counted, has_after, ordered)
    sql, cost = shown.select(chosen.selections, chosen.path)
    return (
        f"({with_page} {sql})",
        lambda values: 1 + counting + values.first(chosen.definition, chosen.node) * cost(values),
    )


@dataclass(frozen=True)
class Page:
    """A page, in the table ``name``: its rows by their number ``n``, one more than the ``first`` that it shows.

    In the order of a list its rows are keys, to which the rows of the list are joined; without one they are shown as
    they are. ``cursor`` and ``first`` are SQL, so is what ``count`` gives for a ``totalCount`` and its path.
    """

    compiler: "Compiler"
    type: GraphQLObjectType
    of: GraphQLObjectType
    name: str
    cursor: str
    first: str
    count: Callable[[FieldNode, tuple[str, ...]], str]
    after: bool
    order: Order | None = None

    def select(self, selections: Selections, path: tuple[str, ...]) -> tuple[str, Cost]:
        """What is asked for of it."""
        fields, costs = [], []
        for response, name, node, inner, here in self.compiler.chosen(self.type, selections, path):
            match name:
                case "__typename":
                    sql = f"'{self.type.name}'"
                case "totalCount":
                    sql = self.count(node, here)
                case "pageInfo":
                    sql = self._info(inner)
                case "nodes":
                    item = self._item(inner, here)
                    costs.append(item.cost)
                    sql = listed(
                        f"SELECT {item.fields} FROM {self.name} JOIN {item.source} ON {item.on} {item.joins}"
                        f" WHERE {self.name}.n <= {self.first} ORDER BY {self.name}.n"
                    )
                case "edges":
                    sql, cost = self._edges(inner, here)
                    costs.append(cost)
                case _:
                    raise TypeError(f"{self.type.name}.{name} has no reading")
            fields.append((response, sql))
        each = tuple(costs)
        return f"SELECT {built(fields)}", lambda v: sum(cost(v) for cost in each)

    def _item(self, selections: Selections, path: tuple[str, ...]) -> "_Item":
        if self.order is None:
            fields, joins, cost = self.compiler.object(self.of, selections, self.name, path)
            return _Item(fields, "(SELECT 1) one", "true", joins, cost)
        alias = self.compiler.alias()
        fields, joins, cost = self.compiler.object(self.of, selections, alias, path)
        # The page was readable: its keys alone say what is joined here.
        source = self.compiler.rows(self.order.cls.table, alias).source
        return _Item(fields, source, f'{alias}."{self.order.key}" = {self.name}.k0', joins, cost)

    def _edges(self, selections: Selections, path: tuple[str, ...]) -> tuple[str, Cost]:
        edge = object_of(self.type.fields["edges"].type)
        fields, joins, costs = [], [], []
        for response, name, _, inner, here in self.compiler.chosen(edge, selections, path):
            if name == "__typename":
                fields.append(f"'{edge.name}' AS \"{response}\"")
            elif name == "cursor":
                fields.append(f'{self.cursor} AS "{response}"')
            else:
                item, joined = self._item(inner, here), f"j{self.compiler.alias()}"
                select = f"SELECT {item.fields} FROM {item.source} {item.joins} WHERE {item.on}"
                joins.append(f"JOIN LATERAL (SELECT row_to_json({ROW}) AS j FROM ({select}) {ROW}) {joined} ON true")
                fields.append(f'{joined}.j AS "{response}"')
                costs.append(item.cost)
        select = f"SELECT {', '.join(fields)} FROM {self.name} {' '.join(joins)} WHERE {self.name}.n <= {self.first}"
        return listed(f"{select} ORDER BY {self.name}.n"), total(costs)

    def _info(self, selections: Selections) -> str:
        info, page, first = object_of(self.type.fields["pageInfo"].type), self.name, self.first
        last = f"WHERE {page}.n <= {first} ORDER BY {page}.n DESC LIMIT 1"
        known = {
            "__typename": f"'{info.name}'",
            "hasNextPage": f"(SELECT count(*) > {first} FROM {page})",
            "hasPreviousPage": "true" if self.after else "false",
            "startCursor": f"(SELECT {self.cursor} FROM {page} WHERE {page}.n = 1 AND {first} > 0)",
            "endCursor": f"(SELECT {self.cursor} FROM {page} {last})",
        }
        return built([(response, known[name]) for response, name, *_ in self.compiler.chosen(info, selections)])


@dataclass(frozen=True)
class _Item:
    # What an item of a page shows, and how it is joined to its place on the page.
    fields: str
    source: str
    on: str
    joins: str
    cost: Cost


def _bare(
    compiler: "Compiler", type: GraphQLObjectType, of: GraphQLObjectType, chosen: Chosen, rows: Readable, alias: str
) -> Callable[[str], tuple[str, Cost]] | None:
    # Of a list in the order of its key nothing but rows is asked for: there is no page to be remembered.
    parts = compiler.chosen(type, chosen.selections, chosen.path)
    if {name for _, name, *_ in parts} - {"__typename"} != {"nodes"}:
        return None

    def shown(where: str) -> tuple[str, Cost]:
        fields, costs = [], []
        for response, name, _, inner, here in parts:
            sql = f"'{type.name}'"
            if name == "nodes":
                columns, joins, cost = compiler.object(of, inner, alias, here)
                sql = listed(f"SELECT {columns} FROM {rows.source} {joins} WHERE {where}")
                costs.append(cost)
            fields.append((response, sql))
        each = tuple(costs)
        return built(fields), lambda values: sum(cost(values) for cost in each)

    return shown


def empty(statement: Statement, type: GraphQLObjectType, selections: Selections, args: Mapping[str, Any]) -> str:
    """The page of a list that is known to have nothing: PostgreSQL has nothing to plan for it."""
    constants = {
        "totalCount": "0",
        "nodes": "'[]'::json",
        "edges": "'[]'::json",
        "hasNextPage": "false",
        "hasPreviousPage": "true" if args.get("after") is not None else "false",
        "startCursor": "NULL",
        "endCursor": "NULL",
    }
    found = []
    for response, name, _, inner, _ in statement.chosen(type, selections):
        if name == "__typename":
            sql = f"'{type.name}'"
        elif name == "pageInfo":
            sql = empty(statement, object_of(type.fields[name].type), inner, args)
        else:
            sql = constants[name]
        found.append((response, sql))
    return built(found)
