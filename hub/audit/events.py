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
    last = max(0, await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event"))
    heads = [(head.size, head.root) for head in kept]
    heads += [tuple(row) for row in await db.fetch("SELECT size, root FROM hub.head ORDER BY size DESC LIMIT 1")]
    if (signed := max((size for size, _ in heads), default=0)) > last:
        return 0, f"the first {signed:,} events were signed, and the log ends at {last:,}: the newest are missing"
    if missing := last - await db.fetchval("SELECT count(*) FROM hub.event WHERE position > 0"):
        return 0, f"{missing:,} positions up to {last:,} hold no event"
    if (row := await db.fetchrow(_TAGS)) is not None:
        said, found = row["tags"] or "", row["found"] or ""
        return 0, f"event {row['position']:,} mentions “{said}”, and hub.tag, by which it is found, “{found}”"
    if (early := await db.fetchval(_TIMES)) is not None:
        return 0, f"event {early:,} is dated before the one before it: no hub records that"
    edge, covered = Edge(), await db.fetchval("SELECT size FROM hub.tree")
    for size, root in sorted(heads):
        if covered < size:
            return (
                edge.size,
                f"the tree covers {covered:,} events, and {size:,} were signed: it is being made anew, or lost",
            )
        while edge.size < size:
            # To the end of a batch of tiles, so that a tile is compared once, as wide as it will be.
            new = await leaves(db, edge.size, min(size, edge.size + BATCH))
            hashes = [leaf_hash(leaf) for leaf in new]
            if differing := await _first(db, edge.size, hashes):
                return edge.size, f"event {differing:,} is not the one that is in the tree"
            made = edge.grow(hashes)
            there = await fetched(db, made)
            if wrong := next((at for at, tile in made.items() if not there.get(at, b"").startswith(tile)), None):
                return edge.size, f"tile {wrong[1]:,} of level {wrong[0]} is not made of what is below it"
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
