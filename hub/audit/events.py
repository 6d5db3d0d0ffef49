"""Whether the events are those that were signed, in their order, and are found by what they mention.

What an operator's database holds beside the log follows from it, and is compared here with it: tags decide which events
a decision reads, the tree's tiles are what auditors are shown.
"""

from collections.abc import Callable, Iterable

import asyncpg

from hub.audit.merkle import HASH, WIDTH, Edge, leaf_hash
from hub.audit.notes import Head
from hub.audit.tree import BATCH, fetched, leaves
from hub.log import as_writer

_TAGS = """SELECT position, e.tags, t.tags AS found
    FROM hub.event e FULL JOIN (
        SELECT position, string_agg(tag, ' ' ORDER BY tag COLLATE "C") AS tags, min(type) AS least, max(type) AS most
        FROM hub.tag GROUP BY position) t USING (position)
    WHERE coalesce(t.tags, '') IS DISTINCT FROM e.tags OR least <> e.type OR most <> e.type
    ORDER BY position LIMIT 1"""
_TIMES = """SELECT position FROM (SELECT position, at, lag(at) OVER (ORDER BY position) AS before FROM hub.event) e
    WHERE at < before ORDER BY position LIMIT 1"""


async def differs(dsn: str, kept: Iterable[Head] = (), say: Callable[[int], None] = lambda _: None) -> tuple[int, str]:
    """How many events were compared with a signed head, and what differs first, in words; empty where nothing does.

    ``kept`` are heads that were signed and are remembered outside this database.
    """
    db = await asyncpg.connect(dsn)
    try:
        await as_writer(db)
        async with db.transaction(isolation="repeatable_read", readonly=True):
            return await _compared(db, kept, say)
    finally:
        await db.close()


async def _compared(db: asyncpg.Connection, kept: Iterable[Head], say: Callable[[int], None]) -> tuple[int, str]:
    last = await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")
    if missing := last - await db.fetchval("SELECT count(*) FROM hub.event WHERE position > 0"):
        return 0, f"{missing:,} positions up to {last:,} hold no event"
    if (row := await db.fetchrow(_TAGS)) is not None:
        said, found = row["tags"] or "", row["found"] or ""
        return 0, f"event {row['position']:,} mentions “{said}”, and hub.tag, by which it is found, “{found}”"
    if (early := await db.fetchval(_TIMES)) is not None:
        return 0, f"event {early:,} is dated before the one before it: no hub records that"
    newest = await db.fetchrow("SELECT size, root FROM hub.head WHERE size <= $1 ORDER BY size DESC LIMIT 1", last)
    heads = {head.size: head.root for head in kept if head.size <= last}
    if newest is not None:
        heads.setdefault(newest["size"], newest["root"])
    edge = Edge()
    for size, root in sorted(heads.items()):
        while edge.size < size:
            new = await leaves(db, edge.size, min(size, edge.size + BATCH))
            hashes = [leaf_hash(leaf) for leaf in new]
            if differing := await _first(db, edge.size, hashes):
                return edge.size, f"event {differing:,} is not the one that is in the tree"
            edge.grow(hashes)
            say(edge.size)
        if edge.root != root:
            return edge.size, f"the first {size:,} events do not lead to the root that was signed"
    return edge.size, ""


async def _first(db: asyncpg.Connection, after: int, hashes: list[bytes]) -> int | None:
    # The position of the first of these leaves that is not the one in the tree's own tiles.
    indexes = range(after // WIDTH, (after + len(hashes) - 1) // WIDTH + 1)
    tiles = await fetched(db, [(0, index) for index in indexes])
    for n, hash in enumerate(hashes, start=after):
        start = n % WIDTH * HASH
        if tiles.get((0, n // WIDTH), b"")[start : start + HASH] != hash:
            return n + 1
    return None
