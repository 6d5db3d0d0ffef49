"""A hub's log brought back from a mirror: into an empty database, or after the events that are still there."""

from collections.abc import Callable
from pathlib import Path

import asyncpg

from hub.audit.copy import Copy, Leaf
from hub.audit.merkle import Edge, leaf_hash
from hub.audit.notes import Malformed, Policy
from hub.log import prepare

BATCH = 4_096


class Different(Exception):
    """The log holds events that the mirror has not, or others: nothing was restored."""


async def restore(
    dsn: str, folder: Path, policy: Policy, say: Callable[[int], None] = lambda _: None
) -> tuple[int, int]:
    """Bring back what is missing, all of it or nothing; answers how many events there are, and how many came back.

    First the whole copy is verified: its signatures by the policy, and its root from its own entries. Raises
    ``Malformed`` where the copy is not what was signed, ``Different`` where the database holds another history.
    """
    copy = Copy(folder)
    checkpoint = copy.checkpoint()
    if checkpoint is None:
        raise Malformed(f"{folder} holds no checkpoint of a mirror")
    if policy.logs and not policy.logged(checkpoint):
        raise Malformed("no log of the policy has signed the mirror's checkpoint")
    if not policy.witnessed(policy.cosigned(checkpoint)):
        raise Malformed("no quorum of the policy's witnesses has cosigned the mirror's checkpoint")
    await prepare(dsn)
    db = await asyncpg.connect(dsn)
    try:
        async with db.transaction():
            # No command is recorded meanwhile.
            await db.execute("SELECT pg_advisory_xact_lock(4715741)")
            head = await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")
            size = checkpoint.head.size
            if head > size:
                raise Different(f"This hub holds {head:,} events, more than the {size:,} of the mirror.")
            await _begins(db, copy, size, head)
            edge = Edge()
            for leaves in copy.leaves(size):
                edge.grow([leaf_hash(leaf) for leaf in leaves])
            if edge.root != checkpoint.head.root:
                raise Malformed(f"the entries in {folder} do not lead to the root that was signed")
            batch: list[Leaf] = []
            for leaves in copy.leaves(size, head):
                batch += map(Leaf.parse, leaves)
                if len(batch) >= BATCH:
                    await _write(db, copy, batch)
                    say(batch[-1].position)
                    batch = []
            await _write(db, copy, batch)
        return size, size - head
    finally:
        await db.close()


async def _begins(db: asyncpg.Connection, copy: Copy, size: int, head: int) -> None:
    # Event by event: where the two part is what somebody has to look at.
    position = 0
    for leaves in copy.leaves(size):
        if position >= head:
            return
        rows = await db.fetch(
            "SELECT hub.leaf(e) FROM hub.event e WHERE position > $1 AND position <= $2 ORDER BY position",
            position,
            min(head, position + len(leaves)),
        )
        for (own,), theirs in zip(rows, leaves, strict=False):
            position += 1
            if own != theirs:
                raise Different(
                    f"The event at position {position:,} is not the one of the mirror: two histories part here. Look "
                    f"at both (“hub log --after {position - 1}”) before one of them is given up."
                )


async def _write(db: asyncpg.Connection, copy: Copy, leaves: list[Leaf]) -> None:
    await db.copy_records_to_table(
        "event",
        schema_name="hub",
        records=[(e.position, e.type, e.tags, e.actor, e.at, e.request, e.data) for e in leaves],
    )
    tags = [(tag, e.position, e.type) for e in leaves for tag in e.tags.split()]
    await db.copy_records_to_table("tag", schema_name="hub", records=tags)
    boxes = [(digest, e.person) for e in leaves if e.boxes for digest in e.boxes]
    kept = [
        (digest, person, file.read_bytes()) for digest, person in boxes if (file := copy.box(person, digest)).exists()
    ]
    await db.executemany("INSERT INTO hub.box VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", kept)
