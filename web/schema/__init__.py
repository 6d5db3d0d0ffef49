"""The schema: written by hand in the ``.graphql`` files beside this one, mutations and their inputs derived."""

from functools import cache
from pathlib import Path

from graphql import (
    DocumentNode,
    GraphQLSchema,
    build_ast_schema,
    parse,
    print_schema,
)

from web.schema.mutations import sdl as mutations_sdl

FILES = ("core", "organizations", "people", "calls", "proposals", "subscriptions")
HEAD = '''"""
The hub for joint AI research in Central Asia.

Sign in with `Authorization: Bearer hub_…`; over `graphql-transport-ws` with the header, or with
`{"Authorization": "Bearer hub_…"}` as the payload of `connection_init`. Words are in the language that
`Accept-Language` asks for: `en`, `ru` or `tg`.

A mutation answers with a receipt or with a typed refusal; send an `Idempotency-Key` header with it and a retry is safe:
the same key and body give the same receipt, beside which a record is shown as it is now. A refusal uses no key up. The
key stands in the log for good, for everybody who may read the event: take a random one that says nothing of anybody.
Lists are paged forward, with `first` and `after`; a cursor is good for the list and the order that it came from.
"""
schema {
  query: Query
  mutation: Mutation
  subscription: Subscription
}

'''


@cache
def document() -> DocumentNode:
    """The whole schema with its readings."""
    hand = "\n".join((Path(__file__).parent / f"{name}.graphql").read_text() for name in FILES)
    written = parse(HEAD + hand, no_location=True)
    derived = parse(mutations_sdl(written), no_location=True)
    return DocumentNode(definitions=(*written.definitions, *derived.definitions))


@cache
def schema() -> GraphQLSchema:
    """The schema, executable by the compiler and, for the rest, by graphql-core."""
    built = build_ast_schema(document(), assume_valid_sdl=True)
    from web.reads.fallback import wire

    return wire(built)


def published() -> str:
    """What ``GET /schema.graphql`` answers and the committed file holds."""
    return print_schema(schema()) + "\n"
