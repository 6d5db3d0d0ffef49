"""Whether events are dated as those say who have cosigned when the log had which."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

from hub_audit.folder import Folder, Tiles
from hub_audit.forms import is_time
from hub_audit.notes import Checkpoint, Policy
from hub_audit.outcome import Absent, Failed, False_, Undecided
from hub_audit.tree import HASH, WIDTH, leaf_hash, root_at

AHEAD = 600
"""Seconds by which clocks may differ, and a commit may take."""
FALSE = 86_400
"""Seconds by which no clocks differed that a hub and a witness have signed by: what is dated so far off is false."""


def dated(folder: Folder, policy: Policy, *others: Checkpoint) -> int:
    """No event is dated long before a quorum cosigned that the log ended before it, nor long after it was cosigned: of
    every head in the folder, and of ``others`` that were kept. Answers of how many.

    Long is more than ``AHEAD``, and asks, once every head was looked at: a clock that was set may explain it. From
    ``FALSE`` on it accuses.
    """
    new, count, asked = folder.checkpoint(), 0, list[Undecided]()
    tiles = folder.tiles(new.size)
    for head in (new, *folder.seen(), *others):
        try:
            times = {} if policy.log_of(head) is None else policy.cosigned(head)
        except Failed:
            continue
        quorum = sorted(at for at in times.values() if policy.reached([n for n, own in times.items() if own >= at]))
        early = sorted(at for at in times.values() if policy.reached([n for n, own in times.items() if own <= at]))
        known = head.origin == new.origin and 0 < head.size <= new.size
        if not known or not quorum or not early:
            continue
        for check, at in ((_next, quorum[-1]), (_own, early[0])):
            try:
                if root_at(tiles, head.size) == head.root:
                    asked += check(folder, tiles, new, head, at)
                    count += check is _own
            except Undecided as undecided:
                # What is missing for this head hides nothing that another one proves.
                asked.append(undecided)
    if asked:
        raise next((each for each in asked if not isinstance(each, Absent)), asked[0])
    return count


def _next(folder: Folder, tiles: Tiles, new: Checkpoint, head: Checkpoint, ended: float) -> Iterator[Undecided]:
    # What follows a head is not dated long before a quorum said that nothing did.
    if head.size < new.size and (at := _dated(folder, tiles, head.size + 1, new)) < ended - AHEAD:
        yield from _said(
            ended - at,
            f"A quorum cosigned a log of {head.size} events on {_utc(ended)}, and the next event is dated {_utc(at)}",
            head=head.note.decode(),
            checkpoint=new.note.decode(),
            leaf=base64.b64encode(folder.leaf(head.size + 1, new.size)).decode(),
        )


def _own(folder: Folder, tiles: Tiles, new: Checkpoint, head: Checkpoint, there: float) -> Iterator[Undecided]:
    # The last event of a head is not dated long after a quorum had cosigned it.
    if (at := _dated(folder, tiles, head.size, new)) > there + AHEAD:
        yield from _said(
            at - there,
            f"A quorum had cosigned event {head.size} by {_utc(there)}, and it is dated {_utc(at)}",
            head=head.note.decode(),
            leaf=base64.b64encode(folder.leaf(head.size, new.size)).decode(),
        )


def _said(apart: float, words: str, **proof: str) -> Iterator[Undecided]:
    if apart >= FALSE:
        raise False_(f"{words}: it was put in, under a date that is false.", **proof)
    yield Undecided(f"{words}: it may have been put in, or a clock was wrong. Ask whoever runs the hub what happened.")


def _dated(folder: Folder, tiles: Tiles, position: int, new: Checkpoint) -> float:
    leaf, (index, at) = folder.leaf(position, new.size), divmod(position - 1, WIDTH)
    if leaf_hash(leaf) != tiles(0, index)[at * HASH : (at + 1) * HASH]:
        raise Undecided(f"{folder} holds other events than its tree has hashes of: fsck says which.")
    said = leaf.split(b"\n", 4)[3] if leaf.count(b"\n") > 3 else b""
    if not is_time(said):
        raise Undecided(f"Event {position} has no time: fsck says more.")
    return datetime.fromisoformat(said.decode()).timestamp()


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
