"""What is sealed: the checkpoint that is published, and how events are covered by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.audit.notes import Checkpoint, Head, Malformed, signature
from hub.audit.policy import Policy
from hub.audit.tree import Database


@dataclass(frozen=True)
class EventSeal:
    """How an event is sealed: by the first head that covers it and that a quorum cosigned, else by the first signed."""

    position: int
    size: int | None
    at: datetime | None
    witnessed: bool
    witnesses: list[tuple[str, datetime]]
    asked: int


async def seals(pool: Database, positions: Sequence[int]) -> list[EventSeal]:
    """How these events are sealed, in their order."""
    rows = await pool.fetch(
        """SELECT p.position, h.size, h.at, coalesce(h.witnessed, false) AS witnessed,
                  (SELECT array_agg(witness ORDER BY witness) FROM hub.cosignature WHERE size = h.size) AS names,
                  (SELECT array_agg(at ORDER BY witness) FROM hub.cosignature WHERE size = h.size) AS times,
                  coalesce((SELECT asked FROM hub.sealer), 0) AS asked
           FROM unnest($1::bigint[]) WITH ORDINALITY AS p (position, n)
           LEFT JOIN LATERAL (
               (SELECT size, at, witnessed FROM hub.head WHERE witnessed AND size >= p.position ORDER BY size LIMIT 1)
               UNION ALL
               (SELECT size, at, witnessed FROM hub.head WHERE size >= p.position ORDER BY size LIMIT 1)
               LIMIT 1) h ON true
           ORDER BY n""",
        positions,
    )
    return [
        EventSeal(
            row["position"],
            row["size"],
            row["at"],
            row["witnessed"],
            list(zip(row["names"] or (), row["times"] or (), strict=True)),
            row["asked"],
        )
        for row in rows
    ]


async def published(pool: Database, at_least: int = 0) -> bytes | None:
    """The newest checkpoint that a quorum has cosigned (else the newest that was signed), with all its signatures.

    ``None`` where there is none of at least this size.
    """
    row = await pool.fetchrow(
        """SELECT h.size, h.root, h.signature || coalesce(
                      (SELECT string_agg(c.signature, '' ORDER BY c.witness) FROM hub.cosignature c
                       WHERE c.size = h.size), '') AS signatures,
                  (SELECT split_part(vkey, '+', 1) FROM hub.sealer) AS origin
           FROM hub.head h ORDER BY witnessed DESC, size DESC LIMIT 1"""
    )
    if row is None or row["size"] < at_least:
        return None
    # What is no signature was never one of a witness: a line of it would keep everybody from reading the rest.
    lines = [line for line in row["signatures"].splitlines() if _is_signature(line)]
    return (Head(row["origin"], row["size"], row["root"]).text + "\n" + "".join(f"{line}\n" for line in lines)).encode()


async def unproven(pool: Database, policy: Policy) -> str:
    """What is wrong with the signatures that are stored of the published head, in words; nothing where all hold."""
    if (note := await published(pool)) is None:
        return ""
    # A line of a key that is not the policy's is another's, as after a witness has begun anew.
    checkpoint = Checkpoint.parse(note)
    shown, proven = {(each.name, each.id) for each in checkpoint.signatures}, policy.cosigned(checkpoint)
    made_up = [n for n, key in sorted(policy.witnesses.items()) if (key.name, key.id) in shown and n not in proven]
    if made_up:
        return f"what is stored as the signature of {', '.join(made_up)} is not that: somebody wrote it there"
    size, claimed = checkpoint.head.size, "SELECT witnessed FROM hub.head WHERE size = $1"
    if policy.witnessed(proven) or not await pool.fetchval(claimed, size):
        return ""
    return (
        f"a quorum is said to have cosigned the first {size:,} events, and {len(proven)} of {len(policy.witnesses)} "
        "witnesses have: somebody wrote that, or the witnesses of a new policy have not answered yet"
    )


def _is_signature(line: str) -> bool:
    try:
        signature(line)
    except Malformed:
        return False
    return True
