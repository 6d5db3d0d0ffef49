"""A hub's log brought back from a mirror: into an empty database, or after the events that are still there."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec

from domain.core import Codec, UnknownEvent
from hub.audit.copy import Copy, Leaf
from hub.audit.merkle import Edge, leaf_hash
from hub.audit.notes import Malformed
from hub.audit.policy import Policy
from hub.audit.tree import leaves
from hub.connecting import connect
from hub.locks import Lock
from hub.log import prepare

RESTORED = "INSERT INTO hub.restored DEFAULT VALUES"
"""Whoever serves what was brought back does nothing by itself until witnesses have said that they know no more."""


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
    if (signed_with := policy.logged(checkpoint)) is None and policy.logs:
        raise Malformed("no log of the policy has signed the mirror's checkpoint")
    if not policy.witnessed(policy.cosigned(checkpoint)):
        raise Malformed("no quorum of the policy's witnesses has cosigned the mirror's checkpoint")
    await prepare(dsn)
    db = await connect(dsn)
    try:
        async with db.transaction():
            # No command is recorded meanwhile.
            await db.execute(f"SELECT pg_advisory_xact_lock({Lock.APPEND})")
            head = await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")
            size = checkpoint.head.size
            await _begins(db, copy, size, min(head, size))
            if head > size:
                raise Different(f"This hub holds {head:,} events, more than the {size:,} of the mirror.")
            edge = Edge()
            for bundle in copy.leaves(size):
                edge.grow([leaf_hash(leaf) for leaf in bundle])
            if edge.root != checkpoint.head.root:
                raise Malformed(f"the entries in {folder} do not lead to the root that was signed")
            codec, position = Codec(), head
            for bundle in copy.leaves(size, head):
                batch = [_readable(leaf, codec, position + n) for n, leaf in enumerate(bundle, start=1)]
                await _write(db, batch)
                position += len(batch)
                say(position)
            await _boxes(db, copy, size)
            if size > head:
                await db.execute(RESTORED)
            # Whoever serves this log from here on seals it with its own key, and with no other.
            await db.execute(
                "INSERT INTO hub.sealer (vkey) SELECT $1 WHERE $1::text IS NOT NULL ON CONFLICT DO NOTHING", signed_with
            )
        return size, size - head
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise Malformed(f"an event of the mirror cannot be recorded: {error}") from None
    finally:
        await db.close()


async def _begins(db: asyncpg.Connection, copy: Copy, size: int, head: int) -> None:
    # Event by event: where the two part is what somebody has to look at.
    position = 0
    for theirs in copy.leaves(size):
        if position >= head:
            return
        for own, other in zip(await leaves(db, position, min(head, position + len(theirs))), theirs, strict=False):
            position += 1
            if own != other:
                raise Different(
                    f"The event at position {position:,} is not the one of the mirror: two histories part here. Look "
                    f"at both (“hub log --after {position - 1}”) before one of them is given up. Where an older backup "
                    "was brought back and served, bring it back anew, and then the mirror, before it is served."
                )


def _readable(leaf: bytes, codec: Codec, position: int) -> Leaf:
    # An event that stands where it says, and that this version understands: what is not, is not half restored.
    event = Leaf.parse(leaf)
    if event.position != position:
        raise Malformed(f"the event at position {position:,} of the mirror says that it is number {event.position:,}")
    try:
        codec.decode(event.type, event.data)
    except (UnknownEvent, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(
            f"the event at position {position:,} ({event.type}) is not understood by this version: {error}"
        ) from None
    return event


async def _write(db: asyncpg.Connection, events: list[Leaf]) -> None:
    await db.copy_records_to_table(
        "event",
        schema_name="hub",
        records=[(e.position, e.type, e.tags, e.actor, e.at, e.request, e.data) for e in events],
    )
    tags = [(tag, e.position, e.type) for e in events for tag in sorted(set(e.tags.split()))]
    await db.copy_records_to_table("tag", schema_name="hub", records=tags)


async def _boxes(db: asyncpg.Connection, copy: Copy, size: int) -> None:
    # Every one that is what its event says, also where a damaged one, or none, was restored before.
    for bundle in copy.leaves(size):
        for event in (Leaf.parse(leaf) for leaf in bundle if b'"sealed"' in leaf):
            for digest in event.boxes if event.person else ():
                box = copy.read(f"boxes/{event.person}/{digest}")
                if box is not None and hashlib.sha256(box).hexdigest() == digest:
                    await db.execute(
                        """INSERT INTO hub.box VALUES ($1, $2, $3)
                           ON CONFLICT (digest) DO UPDATE SET box = excluded.box""",
                        digest,
                        event.person,
                        box,
                    )
