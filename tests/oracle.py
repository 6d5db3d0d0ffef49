"""An independent reading of the schema: rows in memory, filtered and sorted in Python, executed by graphql-core."""

import base64
import json
import re
from datetime import date, datetime, timedelta
from functools import cache, lru_cache

from graphql import (
    REMOVE,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_ast_schema,
    execute_sync,
    get_named_type,
    parse,
    print_ast,
    visit,
)

from domain.core import Sealed, kind_named
from hub.audit.tree import leaves
from hub.tables import TABLES
from web.reads.mapping import form, order, reading, snake, table_of, type_of
from web.schema import document

_KINDS = [table for table, cls in TABLES.items() if "id" in cls.__struct_fields__]
# An operation is asked for several viewers, one after another.
_parsed = lru_cache(4)(parse)


def bare():
    """The schema without the product's resolvers."""
    return build_ast_schema(document(), assume_valid_sdl=True)


async def rows_of(hub):
    """Every row of every table, as JSON has it."""
    found = {}
    for table, cls in TABLES.items():
        names = ", ".join(f't."{name}"' for name in cls.__struct_fields__)
        sql = f"SELECT coalesce(json_agg(r), '[]')::text FROM (SELECT {names} FROM {hub.models.schema}.\"{table}\" t) r"
        found[table] = json.loads(await hub.log.pool.fetchval(sql))
    held = [(row["id"], "name", Sealed(**row["name"])) for row in found["person"] if row["name"]]
    names = await hub.vault.read(hub.log.pool, held)
    found["!called"] = {id: (name or "").lower().split() for (id, _, _), name in zip(held, names, strict=True)}
    events = await hub.log.pool.fetch("SELECT position, data::text, tags FROM hub.event ORDER BY position")
    made = await leaves(hub.log.pool, 0, 2**40)
    found["data"] = {row["position"]: json.loads(row["data"]) for row in events}
    types = {row["position"]: row["type"] for row in found["entry"]}
    submitted = {at: data for at, data in found["data"].items() if types[at] == "ProposalSubmitted"}
    given = {at: data["role"].upper() for at, data in found["data"].items() if types[at].startswith("Role")}
    found["version"] = {at: submitted[at]["version"] if at in submitted else None for at in types}
    found["!role"] = {at: given.get(at) for at in types}
    found["reason"] = {position: data.get("reason") for position, data in found["data"].items()}
    found["recordId"] = {row["position"]: row["record"] or None for row in found["entry"]}
    found["leaf"] = {at: leaf.decode() for at, leaf in enumerate(made, start=1)}
    found["tags"] = {row["position"]: row["tags"].split() for row in events}
    return found


def known(schema, text):
    """An operation without what the oracle does not read: values that SQL cannot know, and the search."""
    types, tree = TypeInfo(schema), _parsed(text)

    class Left(Visitor):
        def enter_field(self, node, *_):
            field = types.get_field_def()
            if field is not None and reading(field).kind in ("late", "search"):
                return REMOVE

        def leave_selection_set(self, node, *_):
            typename = FieldNode(name=NameNode(value="__typename"))
            return None if node.selections else SelectionSetNode(selections=(typename,))

    tree = visit(tree, TypeInfoVisitor(types, Left()))
    while True:
        # What nothing names any more is no part of a valid document.
        body = print_ast(tree)
        kept = [
            each
            for each in tree.definitions
            if not isinstance(each, FragmentDefinitionNode) or re.search(rf"\.\.\.{each.name.value}\b", body)
        ]
        (operation,) = [each for each in kept if isinstance(each, OperationDefinitionNode)]
        used = "\n".join([print_ast(operation.selection_set), *(print_ast(each) for each in kept if each != operation)])
        declared = [
            each for each in operation.variable_definitions or () if re.search(rf"\${each.variable.name.value}\b", used)
        ]
        same = len(kept) == len(tree.definitions)
        operation = OperationDefinitionNode(
            operation=operation.operation,
            name=operation.name,
            variable_definitions=tuple(declared),
            directives=operation.directives,
            selection_set=operation.selection_set,
        )
        rest = tuple(operation if isinstance(each, OperationDefinitionNode) else each for each in kept)
        tree = DocumentNode(definitions=rest)
        if same:
            return print_ast(tree), {each.variable.name.value for each in declared}


class Oracle:
    """Answers operations for one viewer."""

    def __init__(self, schema, rows, principals, person):
        self.schema, self.rows, self.principals, self.person = schema, rows, set(principals), person
        self.readable = cache(self._readable)

    def _readable(self, table):
        cls = TABLES[table]
        if cls.within is None:
            return [row for row in self.rows[table] if set(row["readers"]) & self.principals]
        parents = {row["id"] for row in self.readable(cls.within.table)}
        return [row for row in self.rows[table] if row[cls.within.table] in parents]

    def execute(self, text, variables=None):
        done = execute_sync(
            self.schema,
            _parsed(text),
            variable_values=variables or {},
            field_resolver=self.resolve,
            type_resolver=lambda value, info, type: type_of(kind_named(value["id"])),
        )
        assert not done.errors, done.errors
        return done.data

    def resolve(self, source, info, **args):
        field = info.parent_type.fields[info.field_name]
        if isinstance(source, dict) and info.field_name in source.get("!made", ()):
            return source["!made"][info.field_name]
        how, type = reading(field), get_named_type(field.type)
        match how.kind:
            case "column":
                return self.column(source, info.field_name, how, type)
            case "embedded":
                return source[how.name or snake(info.field_name)]
            case "nodes":
                every = {row["id"]: row for kind in _KINDS for row in self.readable(kind)}
                return [every.get(id) for id in args["ids"]]
            case "one" | "get" | "me" | "node":
                id = {"one": lambda: source[how.by], "get": lambda: args["id"], "me": lambda: self.person}.get(
                    how.kind, lambda: source[how.by] if how.by else args["id"]
                )()
                table = kind_named(id or "") if isinstance(type, GraphQLInterfaceType) else table_of(type).table
                if table not in TABLES or "id" not in TABLES[table].__struct_fields__:
                    return None
                return next((row for row in self.readable(table) if row["id"] == id), None)
            case "many":
                cls = table_of(type)
                found = [row for row in self.readable(cls.table) if row[how.on] == source["id"]]
                found.sort(key=lambda row: [row[name] for name in cls.key])
                if how.order:
                    found.sort(key=lambda row: row[how.order.lstrip("-")], reverse=how.order.startswith("-"))
                return found[: args["first"]] if "first" in args else found
            case "connection":
                return self.connection(source, info, field, how, type, args)
        raise AssertionError(how)

    def column(self, source, name, how, type):
        if how.sql == "nullif({t}.country, '')":
            return source["country"] or None
        if how.sql:
            return self.rows.get(f"!{name}", self.rows.get(name))[source["position"]]
        value = source[how.name or snake(name)]
        if isinstance(type, GraphQLEnumType) and value is not None:
            return value.upper()
        if type.name == "DateTime" and value is not None:
            return value.replace("Z", "+00:00")
        return value

    def connection(self, source, info, field, how, type, args):
        cls = table_of(get_named_type(type.fields["nodes"].type))
        found = self.readable(cls.table)
        if how.on:
            found = [row for row in found if row[how.on] == source["id"]]
        found = [row for row in found if self.fits(cls.table, row, args.get("where") or {})]
        column, descends = cls.key[0], cls.table == "entry"
        if "orderBy" in field.args:
            orders = get_named_type(field.args["orderBy"].type)
            asked = args.get("orderBy") or field.args["orderBy"].ast_node.default_value.value
            column, descends = order(orders.values[asked], "en")
        found.sort(key=lambda row: (row[column], row[cls.key[0]]), reverse=descends)
        total = len(found)
        key = cls.key[0]

        def cursor(row):
            values = [row[column], row[key]] if column != key else [row[key], row[key]]
            values.append(f"{cls.table} {column}{' down' if descends else ''}")
            return base64.b64encode(json.dumps(values, ensure_ascii=False).encode()).decode()

        after = args.get("after")
        if after:
            found = found[[cursor(row) for row in found].index(after) + 1 :]
        shown = found[: args["first"]]
        nodes = [{**row, "!made": {}} for row in shown]
        return {
            "!made": {
                "totalCount": total,
                "nodes": nodes,
                "edges": [
                    {"!made": {"cursor": cursor(row), "node": node}} for row, node in zip(shown, nodes, strict=True)
                ],
                "pageInfo": {
                    "!made": {
                        "hasNextPage": len(found) > len(shown),
                        "hasPreviousPage": bool(after),
                        "startCursor": cursor(shown[0]) if shown else None,
                        "endCursor": cursor(shown[-1]) if shown else None,
                    }
                },
            }
        }

    def lapsed(self, row):
        runs = any(c["id"] == row["call"] and c["status"] == "open" for c in self.readable("call"))
        return row["status"] == "returned" and row["returned_until"] is None and not runs

    def to_decide(self, row):
        (call,) = [c["status"] for c in self.readable("call") if c["id"] == row["call"]] or [""]
        lead_gone = any(o["id"] == row["lead"] and o["status"] == "closed" for o in self.readable("organization"))
        lapsed = self.lapsed(row)
        ready = row["status"] == "in_review" or (row["status"] == "recommended" and not row["offered"])
        left = lapsed or (row["status"] == "recommended" and row["offered"] and lead_gone)
        waits = (ready or left) and call in ("closed", "decided", "archived")
        return row["call"] + "/office" in self.principals and (row["status"] == "submitted" or waits)

    def ties(self):
        long_ago = str(date.today() - timedelta(days=3 * 365 + 1))
        worked = [a for a in self.rows["affiliation"] if a["until"] is None or a["until"] >= long_ago]
        return {each["organization"] for each in (*self.rows["tie"], *worked) if each["person"] == self.person}

    def to_verify(self, row):
        may = {"center", f"national_authority/{row['country']}"} & self.principals
        outside = row["id"] not in self.ties() and self.person not in row["described_by"]
        return bool(may) and outside and row["status"] == "registered"

    def to_appoint(self, table, row):
        center = {each["person"] for each in self.readable("role") if each["role"] == "center_officer"}
        if table == "call":
            runs = {each["officer"] for each in self.readable("call_officer") if each["call"] == row["id"]}
            waits = row["status"] != "archived" and not runs & center
        else:
            here = {p["id"] for p in self.readable("person") if p["status"] == "joined"}
            open_ = [a for a in self.readable("affiliation") if not a["confirmed"] and not a["withdrawn"]]
            open_ = [a for a in open_ if a["person"] in here]
            asked = any(each["organization"] == row["id"] for each in open_)
            waits = row["status"] == "verified" and not row["represented"] and asked
        return "center" in self.principals and waits

    def to_agree(self, row):
        center = {each["person"] for each in self.readable("role") if each["role"] == "center_officer"}
        waits = {each["proposed_by"] for each in self.readable("role_proposal") if each["person"] == row["id"]}
        return "center" in self.principals and row["id"] != self.person and bool((waits & center) - {self.person})

    def to_confirm(self, row):
        joined = any(p["id"] == row["person"] and p["status"] == "joined" for p in self.readable("person"))
        mine = row["organization"] + "/office" in self.principals and row["person"] != self.person
        return mine and joined and not row["confirmed"] and not row["withdrawn"]

    def tied(self, row, asked):
        behind = {row["lead"], *(p["organization"] for p in asked if p["status"] == "confirmed")}
        return row["investigator"] == self.person or bool(behind & self.ties())

    def fits(self, table, row, where):
        asked = [p for p in self.readable("partner") if table == "proposal" and p["proposal"] == row["id"]]
        special = {
            "partner": lambda v: any(p["organization"] == v for p in asked),
            "mine": lambda v: (
                v
                == (
                    row["id"] + "/office" in self.principals
                    if table in ("organization", "call")
                    else row["investigator"] in self.principals or row["lead"] + "/office" in self.principals
                )
            ),
            "awaitsMyAnswer": lambda v: (
                v
                == (
                    (
                        row["status"] in ("draft", "returned")
                        and any(
                            c["id"] == row["call"]
                            and (
                                c["status"] in ("published", "open")
                                or (c["status"] == "closed" and row["returned_until"] is not None)
                            )
                            for c in self.readable("call")
                        )
                        and any(
                            (
                                p["status"] == "invited"
                                or (
                                    p["status"] == "confirmed"
                                    and (
                                        p["revision"] < row["revision"]
                                        if p["revision"]
                                        else p["answered_at"] < row["revised_at"]
                                    )
                                )
                            )
                            and p["organization"] + "/office" in self.principals
                            for p in asked
                        )
                    )
                    or (
                        row["status"] == "recommended" and row["offered"] and row["lead"] + "/office" in self.principals
                    )
                )
            ),
            "tag": lambda v: v in self.rows["tags"][row["position"]],
            "afterPosition": lambda v: row["position"] > v,
            "since": lambda v: datetime.fromisoformat(row["at"]) >= datetime.fromisoformat(v),
            "until": lambda v: datetime.fromisoformat(row["at"]) < datetime.fromisoformat(v),
            "awaitsMyDecision": lambda v: v == (self.to_decide(row) and not self.tied(row, asked)),
            "awaitsAnotherOfficer": lambda v: v == (self.to_decide(row) and self.tied(row, asked)),
            "awaitsMyVerification": lambda v: v == self.to_verify(row),
            "awaitsMyConfirmation": lambda v: v == (self.to_agree(row) if table == "person" else self.to_confirm(row)),
            "awaitsAnOfficer": lambda v: v == self.to_appoint(table, row),
            "lapsed": lambda v: v == self.lapsed(row),
            "ofMyOrganization": lambda v: (
                v == (row["investigator"] != self.person and row["lead"] + "/office" in self.principals)
            ),
            "begunAfter": lambda v: row["id"] > v,
            "name": lambda v: all(
                any(own.startswith(each) for own in self.rows["!called"].get(row["id"], ())) for each in v.split()
            ),
            "organization": lambda v: (
                any(a["person"] == row["id"] and a["organization"] == v for a in self.readable("affiliation"))
                if table == "person"
                else row["organization"] == v
            ),
            "role": lambda v: any(r["person"] == row["id"] and r["role"] == v.lower() for r in self.readable("role")),
            "inMyCalls": lambda v: v == (row["call"] + "/office" in self.principals),
        }
        for name, value in where.items():
            if value is None:
                continue
            if name in special:
                if not special[name](value):
                    return False
            elif isinstance(value, list):
                if row[snake(name)] not in [str(v).lower() if name in ("status", "kind") else v for v in value]:
                    return False
            elif row[snake(name)] != value:
                return False
        return True


class Author:
    """Writes valid operations at random: fields, arguments, aliases, fragments, directives, variables."""

    def __init__(self, schema, chance, ids, times):
        self.schema, self.chance, self.ids, self.times = schema, chance, ids, times
        self.fragments = []
        self.variables = {}

    def operation(self):
        """The text of an operation and its variables."""
        body = self.selection(self.schema.query_type, 0)
        declared = ", ".join(f"${name}: {type}" for name, (type, _) in self.variables.items())
        text = f"query Q{f'({declared})' if declared else ''} {body}\n" + "\n".join(self.fragments)
        return text, {name: value for name, (_, value) in self.variables.items()}

    def variable(self, type, value):
        name = f"v{len(self.variables)}"
        self.variables[name] = type, value
        return f"${name}"

    def selection(self, type, depth, aliased=False):
        chance, parts = self.chance, []
        if isinstance(type, GraphQLInterfaceType):
            parts.append("__typename id")
            possible = self.schema.get_possible_types(type)
            for each in chance.sample(list(possible), chance.randint(1, len(possible))):
                parts.append(f"... on {each.name} {self.selection(each, depth + 1, aliased=True)}")
            return "{ " + " ".join(parts) + " }"
        names = [name for name, field in type.fields.items() if self.usable(type, field, depth)]
        for name in chance.sample(names, chance.randint(1, min(len(names), 6))):
            parts.append(self.field(type, name, depth, aliased))
        if chance.random() < 0.2 or not any(parts):
            parts.append("__typename")
        if chance.random() < 0.15 and not type.name.startswith("Query"):
            name = f"F{len(self.fragments)}"
            self.fragments.append("")
            mark = len(self.fragments) - 1
            self.fragments[mark] = f"fragment {name} on {type.name} {{ __typename }}"
            parts.append(f"...{name}")
        return "{ " + " ".join(parts) + " }"

    def usable(self, type, field, depth):
        if type.name in ("PageInfo",) or type.name.endswith(("Edge", "Connection")):
            return True
        if reading(field).kind in ("late", "search"):
            return False
        composite = isinstance(get_named_type(field.type), GraphQLObjectType | GraphQLInterfaceType)
        return depth < 4 or not composite

    def field(self, type, name, depth, aliased):
        chance, field = self.chance, type.fields[name]
        given = [f"{key}: {value}" for key, value in self.arguments(field)]
        of = get_named_type(field.type)
        text = f"a{chance.randint(0, 10**9)}: {name}" if chance.random() < 0.3 or given or aliased else name
        if given:
            text += f"({', '.join(given)})"
        if chance.random() < 0.1:
            on = self.variable("Boolean!", chance.random() < 0.5)
            text += f" @{chance.choice(['include', 'skip'])}(if: {on})"
        if isinstance(of, GraphQLObjectType | GraphQLInterfaceType):
            deeper = depth if type.name.endswith(("Connection", "Edge")) else depth + 1
            text += " " + self.selection(of, deeper)
        return text

    def arguments(self, field):
        chance = self.chance
        for name, argument in field.args.items():
            if name == "id":
                yield name, self.variable("ID!", chance.choice(self.ids))
            elif name == "ids":
                yield name, self.variable("[ID!]!", [*chance.choices(self.ids, k=chance.randint(0, 4)), "nothing"])
            elif name == "first":
                first = str(chance.randint(0, 7))
                yield name, first if chance.random() < 0.5 else self.variable("Int", int(first))
            elif name == "orderBy" and chance.random() < 0.5:
                yield name, chance.choice(["null", *get_named_type(argument.type).values])
            elif name == "where" and chance.random() < 0.5:
                yield name, self.filter(get_named_type(argument.type))

    def filter(self, type):
        chance, parts = self.chance, []
        for name, field in type.fields.items():
            if chance.random() < 0.7 or name in ("text", "name"):
                continue
            of = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
            named = get_named_type(of)
            if isinstance(named, GraphQLEnumType):
                some = chance.sample(list(named.values), 2)
                parts.append(f"{name}: {'[' + ', '.join(some) + ']' if isinstance(of, GraphQLList) else some[0]}")
            elif named.name == "Int":
                parts.append(f"{name}: {self.variable('Int', chance.choice([None, 0, 40, 250, -1]))}")
            elif named.name == "DateTime":
                parts.append(f"{name}: {self.variable('DateTime', chance.choice([*self.times, None]))}")
            elif name == "type":
                named_types = chance.choice([None, ["ProposalDrafted"], ["PartnerInvited", "OfficerAppointed"]])
                parts.append(f"{name}: {self.variable('[String!]', named_types)}")
            elif isinstance(of, GraphQLList):
                parts.append(f"{name}: {self.variable('[String!]', chance.choice([None, ['TJ'], ['KZ', 'UZ']]))}")
            elif named.name == "Boolean":
                parts.append(f"{name}: {self.variable('Boolean', chance.choice([True, False, None]))}")
            else:
                kind = {"actor": "person", "record": "proposal"}.get(form(field), form(field))
                fit = ["02004hr86"] if kind == "ror" else [id for id in self.ids if kind in (None, kind_named(id))]
                parts.append(f"{name}: {self.variable(str(of), chance.choice([*fit, None]))}")
        return "{" + ", ".join(parts) + "}"
