"""The search across subjects: words as they are typed first, then misspelled ones."""

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from hub.tables import TABLES
from projections import words
from projections.core import Row
from web.reads.filters import as_typed
from web.reads.pages import Page, cursor_of, empty, object_of
from web.reads.plan import MAX_FOUND, BadInput, Cost, Values, decode_cursor
from web.reads.statement import Chosen

if TYPE_CHECKING:
    from web.reads.compiler import Compiler

HITS_COST = 10
SAMPLED, MOST_RANKED = 70, 1_000
"""So many of the newest of a kind tell how common what is searched for is. Where one in five has it, so many hits, the
newest, are put in the order of how well they fit; else all are."""


class _Kind(NamedTuple):
    # How the hits of one kind are found: whether its words are common, the hits as typed, and those misspelled.
    often: str | None
    exact: tuple[str, ...]
    close: str


def search(compiler: "Compiler", chosen: Chosen) -> tuple[str, Cost]:
    """A page of hits, the best first."""
    type, values = object_of(chosen.type), compiler.values
    of = object_of(type.fields["nodes"].type)

    def text(values: Values) -> str:
        given: str = chosen.args(values)["text"]
        return given

    def sought(values: Values) -> str:
        # What is looked for: in another search a cursor would lead anywhere.
        args = chosen.args(values)
        what = "\n".join((args["text"], *sorted(args.get("kinds") or ())))
        return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def skipped(values: Values) -> int:
        after = chosen.args(values).get("after")
        if after is None:
            return 0
        found, of = decode_cursor(after, chosen.node, 2)
        if not isinstance(found, int) or not 0 <= found <= 10_000 or of != sought(values):
            raise BadInput("`after` is no cursor of this search: take it from `pageInfo.endCursor`.", chosen.node)
        return found

    def most(values: Values) -> int:
        return values.first(chosen.definition, chosen.node, MAX_FOUND)

    kinds = chosen.args(values).get("kinds")
    tables = [cls for cls in TABLES.values() if cls.search and (kinds is None or cls.table.upper() in kinds)]
    first, skip = compiler.bind(most, "bigint"), compiler.bind(skipped, "bigint")
    if not tables:
        # What a page is asked for is looked at all the same: what it cannot be is refused.
        nothing = empty(compiler, type, chosen.selections, chosen.args(values))
        return f"(SELECT e.j FROM (SELECT {nothing} AS j) e WHERE {first} + {skip} IS NOT NULL)", lambda _: HITS_COST
    query = compiler.bind(lambda values: words.query(text(values)), "text")
    typed = compiler.bind(lambda values: as_typed(text(values)), "text")
    # Who may read few is served by those few or by the words, as the values tell; others by the words alone, and then
    # no value changes the plan.
    either = any(cls.table in values.narrow for cls in tables)
    wanted = f"{query}::tsquery" if either else f"(SELECT {query}::tsquery)"
    compiler.by_words |= either
    found = f"x{compiler.alias()}"
    # Misspelled words come last, so they are looked for only where the rest does not fill the page.
    few = f"(SELECT count(*) FROM {found}) <= {first} + {skip}"
    each = [_kind(compiler, cls, wanted, typed, found, few) for cls in tables]
    page, own = f"p{compiler.alias()}", compiler.bind(sought, "text")
    hits = f"SELECT * FROM {found} UNION ALL {' UNION ALL '.join(kind.close for kind in each)}"
    best = f"SELECT * FROM ({hits}) h ORDER BY rank DESC, id LIMIT {first} + 1 OFFSET {skip}"
    found_by = (
        *(kind.often for kind in each if kind.often),
        f"{found} AS MATERIALIZED ({' UNION ALL '.join(one for kind in each for one in kind.exact)})",
        f"{page} AS MATERIALIZED (SELECT *, row_number() OVER () AS n, {own} AS sought FROM ({best}) p)",
    )
    cursor = cursor_of(f"{skip} + {page}.n", f"{page}.sought")
    after = chosen.args(values).get("after") is not None
    compiler.among = tables
    sql, cost = Page(compiler, type, of, page, cursor, first, lambda *_: "0", after).select(
        chosen.selections, chosen.path
    )
    compiler.among = None
    return f"(WITH {', '.join(found_by)} {sql})", lambda values: HITS_COST + most(values) * cost(values)


def _kind(compiler: "Compiler", cls: type[Row], wanted: str, typed: str, found: str, few: str) -> _Kind:
    alias, kind = compiler.alias(), cls.table.upper()
    narrow = cls.table in compiler.values.narrow
    rows = compiler.rows(cls.table, alias, filtered=not narrow)
    hit = f"SELECT '{kind}' AS kind, {alias}.id, {alias}.\"{cls.search[0]}\" AS title"
    fits = f"{alias}.search @@ {wanted}"
    ranked = f"{hit}, 1 + ts_rank({alias}.search, {wanted}) AS rank"
    like = ", ".join(f'word_similarity({typed}, {alias}."{name}")' for name in cls.fuzzy)
    any_close = " OR ".join(f'{typed} <% {alias}."{name}"' for name in cls.fuzzy)
    close = f"{hit}, greatest({like}) AS rank {rows} AND {few} AND ({any_close}) AND ({fits}) IS NOT TRUE"
    if narrow:
        return _Kind(None, (f"{ranked} {rows} AND {fits}",), close)
    # Words that many of the newest have are soon met among the newest; others are found by their index.
    newest = next((f'{alias}."{name[1:]}" DESC, ' for name in cls.index if name.startswith("-")), "")
    # The planner expects few readable rows, and few with these words. Behind an OFFSET it knows of neither, and walks
    # along the order.
    walk = f"(SELECT {alias}.* FROM {rows.source} ORDER BY {newest}{alias}.id DESC OFFSET 0) {alias}"
    walk = f"FROM {walk} WHERE {rows.predicate}"
    sample, many = f"{found}{kind}", f"(SELECT s.many FROM {found}{kind} s)"
    common = f"SELECT count(*) >= {SAMPLED // 5} AS many FROM (SELECT {alias}.search {walk} LIMIT {SAMPLED}) s"
    met = f"SELECT {alias}.* {walk} AND {many} AND {fits} LIMIT {MOST_RANKED}"
    return _Kind(
        f"{sample} AS MATERIALIZED ({common} WHERE s.search @@ {wanted})",
        (f"{ranked} {rows} AND {fits} AND NOT {many}", f"{ranked} FROM ({met}) {alias}"),
        close,
    )
