"""Whether the events are those that were signed, in their order, and are found by what they mention.

What an operator's database holds beside the log follows from it, and is compared here with it: tags decide which events
a decision reads, the tree's tiles are what auditors are shown.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import asyncpg

from hub.audit.merkle import HASH, WIDTH, Edge, Tile, leaf_hash
from hub.audit.notes import Head
from hub.audit.tree import BATCH, fetched, leaves
from hub.connecting import connect
from hub.log import as_writer

Look = Callable[[int, Mapping[Tile, bytes]], Awaitable[str]]
"""What differs, in words, in the tiles that so many events make."""
_TAGS = """SELECT position, e.tags, t.tags AS found
    FROM hub.event e FULL JOIN (
        SELECT position, string_agg(tag, ' ' ORDER BY tag COLLATE "C") AS tags, min(type) AS least, max(type) AS most
        FROM hub.tag GROUP BY position) t USING (position)
    WHERE coalesce(t.tags, '') IS DISTINCT FROM e.tags OR least <> e.type OR most <> e.type
    ORDER BY position LIMIT 1"""
_TIMES = """SELECT position FROM (SELECT position, at, lag(at) OVER (ORDER BY position) AS before FROM hub.event) e
    WHERE at < before ORDER BY position LIMIT 1"""
# A commit may wait for a standby, and a head that was signed by a clock that was set back since says nothing.
# When half of those who cosigned a head say that it was the whole log; where nobody cosigned it, the hub's own clock
# says so, and clocks may be a day off.
_PUT_IN = """SELECT e.position FROM hub.head h JOIN hub.event e ON e.position = h.size + 1
    CROSS JOIN LATERAL (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY c.at) AS at
                        FROM hub.cosignature c WHERE c.size = h.size) cosigned
    WHERE e.at < coalesce(cosigned.at - interval '10 minutes', h.at - interval '1 day')
    AND NOT EXISTS (SELECT FROM hub.head later WHERE later.size > h.size AND later.at < h.at)
    ORDER BY e.position LIMIT 1"""


async def differs(dsn: str, kept: Head | None = None, say: Callable[[int], None] = lambda _: None) -> tuple[int, str]:
    """How many events were compared with a signed head, and what differs first, in words; empty where nothing does.

    ``kept`` is a head that was signed and is remembered outside this database.
    """
    async with _reading(dsn) as db:
        return await _compared(db, kept, say)


async def odd(dsn: str, kept: Head | None = None) -> str:
    """What of the events differs from what was signed, or from what finds them, in words, whatever the tree holds of
    them; empty where nothing does.
    """
    async with _reading(dsn) as db:
        heads, last, lost = await _signed(db, kept)
        return lost or await _apart(db, last) or (await _led(db, heads))[1]


async def unsigned(dsn: str, kept: Head | None = None) -> str:
    """Why the events do not lead to the roots that were signed of them, in words, whatever the tree holds of them;
    empty where they do.
    """
    async with _reading(dsn) as db:
        heads, _, lost = await _signed(db, kept)
        return lost or (await _led(db, heads))[1]


@asynccontextmanager
async def _reading(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    db = await connect(dsn)
    try:
        await as_writer(db)
        async with db.transaction(isolation="repeatable_read", readonly=True):
            yield db
    finally:
        await db.close()


async def _signed(db: asyncpg.Connection, kept: Head | None) -> tuple[list[tuple[int, bytes]], int, str]:
    # Size and root of each head that is known, the smallest first; where the log ends; that it has lost some, in words.
    last = max(0, await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event"))
    rows = await db.fetch("SELECT size, root FROM hub.head ORDER BY size DESC LIMIT 1")
    heads = sorted([*([(kept.size, kept.root)] if kept else ()), *map(tuple, rows)])
    if heads and (signed := heads[-1][0]) > last:
        return (
            heads,
            last,
            f"the first {signed:,} events were signed, and the log ends at {last:,}: the newest are missing",
        )
    return heads, last, ""


async def _led(db: asyncpg.Connection, heads: list[tuple[int, bytes]], look: Look | None = None) -> tuple[int, str]:
    # Over how many events the roots were made, and what differs, in words.
    edge = Edge()
    for size, root in heads:
        while edge.size < size:
            upto = min(size, edge.size + BATCH)
            new = await leaves(db, edge.size, upto)
            if edge.size + len(new) < upto:
                return edge.size, f"of the first {size:,} events, which were signed, some are missing"
            made = edge.grow([leaf_hash(leaf) for leaf in new])
            if look is not None and (differing := await look(edge.size, made)):
                return edge.size, differing
        if edge.root != root:
            return edge.size, f"the first {size:,} events do not lead to the root that was signed"
    return edge.size, ""


async def _compared(db: asyncpg.Connection, kept: Head | None, say: Callable[[int], None]) -> tuple[int, str]:
    heads, last, lost = await _signed(db, kept)
    if wrong := lost or await _apart(db, last):
        return 0, wrong
    if (late := await db.fetchval(_PUT_IN)) is not None:
        return (
            0,
            f"event {late:,} is dated long before the hub signed that the log ended before it: it was put in later",
        )
    covered, signed = await db.fetchval("SELECT size FROM hub.tree"), heads[-1][0] if heads else 0
    if covered < signed:
        return 0, f"the tree covers {covered:,} of {signed:,} signed events: it is being made anew, or lost"

    async def look(size: int, made: Mapping[Tile, bytes]) -> str:
        say(size)
        return await _differing(db, made)

    return await _led(db, heads, look)


async def _apart(db: asyncpg.Connection, last: int) -> str:
    # What is wrong with the events of a log that ends there, each by itself, in words.
    if missing := last - await db.fetchval("SELECT count(*) FROM hub.event WHERE position > 0"):
        return f"{missing:,} positions up to {last:,} hold no event"
    if (row := await db.fetchrow(_TAGS)) is not None:
        said, found = row["tags"] or "", row["found"] or ""
        return f"event {row['position']:,} mentions “{said}”, and hub.tag, by which it is found, “{found}”"
    if (early := await db.fetchval(_TIMES)) is not None:
        return f"event {early:,} is dated before the one before it: no hub records that"
    return ""


async def _differing(db: asyncpg.Connection, made: Mapping[Tile, bytes]) -> str:
    # The first of these tiles that is not the one in the tree, in words; of the lowest level, the event in it.
    there = await fetched(db, made)
    for (level, index), tile in sorted(made.items()):
        own = there.get((level, index), b"")
        if own.startswith(tile):
            continue
        if level:
            return f"tile {index:,} of level {level} is not made of what is below it"
        n = next(n for n in range(0, len(tile), HASH) if own[n : n + HASH] != tile[n : n + HASH])
        return f"event {index * WIDTH + n // HASH + 1:,} is not the one that is in the tree"
    return ""
