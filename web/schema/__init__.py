"""The schema: written by hand in the ``.graphql`` files here; mutations, and what all records have, are derived."""

from functools import cache
from pathlib import Path

from graphql import (
    DocumentNode,
    GraphQLSchema,
    build_ast_schema,
    parse,
    print_schema,
)

from web.schema import mutations, records
from web.schema.usual import describe

_HERE = Path(__file__).parent
FILES = ("core", *sorted({each.stem for each in _HERE.glob("*.graphql")} - {"core", "subscriptions"}), "subscriptions")
"""The subjects between what they share: each extends that."""
HEAD = '''"""
The hub for joint AI research in Central Asia.

Sign in with `Authorization: Bearer hub_…`; over `graphql-transport-ws` with the header, or with
`{"Authorization": "Bearer hub_…"}` as the payload of `connection_init`. Words are in the language that
`Accept-Language` asks for: `en`, `ru` or `tg`.

A mutation answers with a receipt or with a typed refusal; send an `Idempotency-Key` header with it (where there are no
headers, `idempotencyKey` in the request's `extensions`; 1 to 200 visible ASCII characters, kept for good) and a retry
is safe: the same key and input give the same receipt, beside which a record is shown as it is now. Keys are each
person's own, and a refusal uses none up. Of several mutations in a request each has the key at its place: a retry sends
the same document, and may add to its end.

In an input `null` and left out are the same: nothing is said, and what a record has stays. An empty text empties what
may be empty, as an abstract; what may not is refused where a record is changed.

Lists are paged forward, with `first` and `after`; a cursor is good for the list and the order that it came from. Where
they are ordered by what changes, a record that changes meanwhile moves, and may be on no page that you see, or on two;
a subscription misses nothing of what you may read. An answer to a query has an `ETag`; `If-None-Match` is answered with
304, also to POST.

Where something is wrong with a request, `errors[].extensions.code` says what:

- `BAD_REQUEST`, `METHOD`, `TRANSPORT`: the HTTP request is none of GraphQL, or such an operation is not sent this way.
- `INVALID_DOCUMENT`: the document does not fit this schema. `BAD_INPUT`: a value that it was given does not.
  `AHEAD_OF_LOG`: a subscription was to begin after a position that the log does not have (any more).
- `UNAUTHENTICATED`: no token was sent where one is needed, or it is not valid (any more). `OUT_OF_SCOPE`: the token was
  not made for this mutation. `READ_ONLY`: the hub is shown as it stood once.
- `TOO_DEEP` (14), `TOO_MANY_ALIASES` (60), `TOO_COSTLY` (20,000; 2,000 for each event of a subscription; 8,000 steps to
  merge what is asked for several times), `TOO_SLOW` (5 s): ask for less at once. A body has at most 1 MB, a document
  4,000 tokens, an alias 63 characters; a socket carries 50 operations at once, and somebody listens to at most 100
  subscriptions.
- `BUSY`: this was not carried out, or so much was asked at once that 5 s were waited in vain; `UNKNOWN`: whether a
  command was recorded is not known, send it again with the same key to find out. Both come with 503 and `Retry-After`,
  but in a stream or over a socket, which have begun. `INTERNAL`: the fault is the hub's, and nothing was lost.

Where an error ends a request of several mutations, `extensions.recorded` says what was recorded before.
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
    hand = "\n".join((_HERE / f"{name}.graphql").read_text() for name in FILES)
    written = parse(HEAD + hand, no_location=True)
    derived = (parse(each.sdl(written), no_location=True) for each in (records, mutations))
    return DocumentNode(definitions=(*written.definitions, *(each for part in derived for each in part.definitions)))


@cache
def schema() -> GraphQLSchema:
    """The schema, executable by the compiler and, for the rest, by graphql-core."""
    built = build_ast_schema(document(), assume_valid_sdl=True)
    describe(built)
    from web.reads.fallback import wire

    return wire(built)


def published() -> str:
    """What ``GET /schema.graphql`` answers and the committed file holds."""
    return print_schema(schema()) + "\n"
