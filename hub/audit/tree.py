"""The follower that keeps the Merkle tree of the log, in tiles; and the proofs that are read from them."""

from collections.abc import Iterable, Mapping

import asyncpg

from hub.audit.merkle import (
    Edge,
    Range,
    Tile,
    consistency_ranges,
    edge_tiles,
    hash_of,
    inclusion_ranges,
    leaf_hash,
    tiles_of,
)
from hub.pool import Pool

BATCH = 4_096
"""The most events that one transaction takes into the tree."""
_LEAVES = """SELECT position, type, at, actor, request, tags, data::text FROM hub.event
    WHERE position > $1 AND position <= $2 ORDER BY position"""
Database = Pool | asyncpg.Connection


class Behind(LookupError):
    """The tree does not reach this far yet."""


class Tree:
    """Brings the tree up to the log, a batch to a transaction; whatever is killed, it goes on where it was.

    Outside the writers' transactions and without their lock: it only reads what was committed, and events below the
    head never change. Positions have no gaps, so nothing is missed.
    """

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db
        self._edge = Edge()

    @property
    def size(self) -> int:
        """How many events the tree covers."""
        return self._edge.size

    @property
    def root(self) -> bytes:
        """Its root."""
        return self._edge.root

    async def open(self) -> None:
        """Read where the tree ends."""
        size = await self._db.fetchval("SELECT size FROM hub.tree")
        try:
            self._edge = Edge.read(size, await fetched(self._db, edge_tiles(size)))
        except KeyError as error:
            raise Behind(f"tile {error} of the tree is missing: “hub rebuild --tree” makes it anew") from None

    async def step(self) -> int:
        """Take the next events in; answers how many there were."""
        new = await leaves(self._db, self.size, self.size + BATCH)
        if not new:
            return 0
        edge = self._edge.copy()
        changed = edge.grow([leaf_hash(leaf) for leaf in new])
        async with self._db.transaction():
            moved = await self._db.execute(
                "UPDATE hub.tree SET size = $2, root = $3 WHERE size = $1", self.size, edge.size, edge.root
            )
            if moved == "UPDATE 0":
                raise Behind("another process takes care of the tree")
            await self._db.execute(
                """INSERT INTO hub.tile SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[])
                   ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes""",
                [level for level, _ in changed],
                [index for _, index in changed],
                list(changed.values()),
            )
        # Committed: a batch that failed leaves the tree in memory as it is in the database.
        self._edge = edge
        return len(new)


async def leaves(pool: Database, after: int, upto: int) -> list[bytes]:
    """The leaves of the events after a position, up to another one."""
    # Made here: a function of the database is whoever's it is that runs it.
    rows = await pool.fetch(_LEAVES, after, upto)
    return [
        f"hub-event/v1\n{position}\n{type}\n{at:%Y-%m-%dT%H:%M:%S.%f}Z\n{actor}\n{request}\n{tags}\n{data}".encode()
        for position, type, at, actor, request, tags, data in rows
    ]


async def fetched(pool: Database, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
    """These tiles, as far as they are there."""
    wanted = list(tiles)
    rows = await pool.fetch(
        """SELECT t.level, t.index, t.hashes FROM hub.tile t
           JOIN unnest($1::int[], $2::bigint[]) AS wanted (level, index) USING (level, index)""",
        [level for level, _ in wanted],
        [index for _, index in wanted],
    )
    return {(row["level"], row["index"]): row["hashes"] for row in rows}


async def hashes(pool: Database, ranges: list[Range]) -> list[bytes]:
    """The hashes of these ranges of leaves; raises ``Behind``."""
    tiles: Mapping[Tile, bytes] = await fetched(pool, tiles_of(ranges))
    try:
        return [hash_of(tiles, *each) for each in ranges]
    except KeyError as error:
        raise Behind(f"tile {error} of the tree is not there") from None


async def root_at(pool: Database, size: int) -> bytes:
    """The root of the tree over the first events; raises ``Behind``."""
    return (await hashes(pool, [(0, size)]))[0]


async def inclusion(pool: Database, index: int, size: int) -> list[bytes]:
    """The proof that a leaf is in the tree of this size; raises ``Behind``."""
    return await hashes(pool, inclusion_ranges(index, size))


async def consistency(pool: Database, old: int, new: int) -> list[bytes]:
    """The proof that one tree is the beginning of another; raises ``Behind``."""
    return await hashes(pool, consistency_ranges(old, new))
