"""What each record has, whatever its subject: its history and seal, pages of its list, its live changes. Derived."""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldDefinitionNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    TypeNode,
)

from web.reads.mapping import snake

_OF_RECORDS = """
  actions: [Action!]! @late(needs: ["id"], volatile: true) @costs(much: 5)
  seal: Seal @late(needs: ["id"], volatile: true)
  history(first: Int = 20, after: String): EventConnection! @connection(on: "record")
"""


def sdl(written: DocumentNode) -> str:
    """The derived part of the schema: for each list its connection, for each type that is a ``Record`` the rest."""
    types = [each for each in written.definitions if isinstance(each, ObjectTypeDefinitionNode)]
    records = [each.name.value for each in types if "Record" in {face.name.value for face in each.interfaces or ()}]
    lists = dict(_lists(written))
    parts = [_page(name, many) for name, many in lists.items()]
    for name in records:
        parts += [f"extend type {name} {{{_OF_RECORDS}}}", *_changes(name, lists[name])]
    kinds = "\n".join(
        f'  "One of the {lists[name]}."\n  {snake(name[:1].lower() + name[1:]).upper()}' for name in records
    )
    return "\n\n".join([*parts, f'"The kinds of records."\nenum RecordKind {{\n{kinds}\n}}'])


def _lists(written: DocumentNode) -> Iterator[tuple[str, str]]:
    # Of which type a field makes a list, and what that calls many of it, where nobody has written its pages. What the
    # query itself calls them comes last, and counts.
    own = {each.name.value for each in written.definitions if isinstance(each, ObjectTypeDefinitionNode)}
    for type in sorted(written.definitions, key=_is_query):
        for field in getattr(type, "fields", None) or ():
            if isinstance(field, FieldDefinitionNode):
                of = _named(field.type)
                if of.endswith("Connection") and of not in own:
                    yield of.removesuffix("Connection"), snake(field.name.value).replace("_", " ")


def _is_query(definition: object) -> bool:
    return getattr(getattr(definition, "name", None), "value", "") == "Query"


def _page(name: str, many: str) -> str:
    return f'''"{many.capitalize()}, a page at a time."
type {name}Connection {{
  edges: [{name}Edge!]!
  nodes: [{name}!]!
  pageInfo: PageInfo!
  "How many there are on all pages."
  totalCount: Int!
}}

"One of the {many} in a list, and its place there."
type {name}Edge {{
  cursor: String!
  node: {name}!
}}'''


def _changes(name: str, many: str) -> Iterator[str]:
    field = name[:1].lower() + name[1:]
    yield f""""Something that happened to one of the {many}."
type {name}Change {{
  "What happened."
  event: Event!
  "The record as it is now: what you may not read is told over `happened` and `recordChanged` alone."
  {field}: {name}
}}"""
    yield f"""extend type Subscription {{
  "What happens to {many} that you may read."
  {field}Changed(
    where: {name}Filter
    "Begin after this position of the log; left out, with what happens next."
    after: Int
  ): {name}Change!
}}"""


def _named(type: TypeNode) -> str:
    while isinstance(type, ListTypeNode | NonNullTypeNode):
        type = type.type
    assert isinstance(type, NamedTypeNode)
    return type.name.value
