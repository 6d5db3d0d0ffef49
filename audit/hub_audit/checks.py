"""What is proven of a fetched log; each check answers what it has found, or raises why it did not succeed."""

import base64
import time
from pathlib import Path
from typing import Any

from hub_audit.dates import AHEAD, dated
from hub_audit.folder import LEAF, Folder, Tiles, parsed, path_of
from hub_audit.forms import is_time, malformed
from hub_audit.notes import Checkpoint, Policy, base64_of, decimal
from hub_audit.outcome import False_, Stale, Undecided, Unusable, quoted
from hub_audit.progress import Progress
from hub_audit.tree import (
    HASH,
    WIDTH,
    leaf_hash,
    mth,
    prove_consistency,
    root_at,
    root_from_inclusion,
    roots_from_consistency,
)

LONGEST = 65_535


def ago(seconds: int) -> str:
    """A duration for people."""
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"


def policy_in(file: Path) -> Policy:
    """A policy file; raises ``Unusable``."""
    try:
        return Policy(file.read_bytes().decode("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def checkpoint_in(file: Path) -> Checkpoint:
    """A checkpoint that was kept; raises ``Unusable``."""
    try:
        return Checkpoint(file.read_bytes(), str(file))
    except OSError as error:
        raise Unusable(f"{file} cannot be read: {error.strerror}") from None


def signatures(checkpoint: Checkpoint, policy: Policy, max_age: int | None = None) -> dict[str, Any]:
    """The log's signature, the quorum of its witnesses, and how old their word is."""
    if policy.log_of(checkpoint) is None:
        raise Undecided(f"No log of the policy has signed this checkpoint of “{checkpoint.origin}”.")
    times = policy.cosigned(checkpoint)
    if not policy.reached(times):
        raise Undecided(f"{len(times)} of {len(policy.witnesses)} witnesses have cosigned: that is no quorum.")
    now = int(time.time())
    usable = sorted((at for at in times.values() if at <= now + AHEAD), reverse=True)
    since = next((at for at in usable if policy.reached([name for name, own in times.items() if own >= at])), None)
    if max_age is not None:
        if policy.reached(()):
            raise Undecided("The policy asks for no witness, so nobody says how fresh the checkpoint is.")
        if since is None:
            raise Undecided(
                "The clocks of its witnesses are ahead of this one: how fresh the checkpoint is, is unknown."
            )
        if now - since > max_age:
            raise Stale(f"A quorum has cosigned this checkpoint, the last {ago(now - since)} ago.")
    return {"size": checkpoint.size, "witnesses": times, "age": None if since is None else max(0, now - since)}


def consistency(folder: Folder, old: Checkpoint, policy: Policy | None) -> dict[str, Any]:
    """All that was in an old checkpoint is in the fetched one, unchanged and in its place."""
    new = folder.checkpoint()
    if old.origin != new.origin:
        raise Unusable(f"The old checkpoint is of “{old.origin}”, the fetched log is “{new.origin}”.")
    pinned = _signed_by_the_log(policy, old, new)
    if old.size > new.size:
        raise Undecided(
            f"The old checkpoint covers {old.size} events, the fetched one {new.size}: "
            f"{old.size - new.size} events that were sealed are held back, or lost."
        )
    both = {"old": old.note.decode(), "new": new.note.decode()}
    tiles = folder.tiles(new.size)
    if root_at(tiles, new.size) != new.root:
        raise False_(f"The tiles in {folder} do not lead to the root of the checkpoint.", **both)
    if not _continues(tiles, old, new, folder):
        raise False_(
            f"The first {old.size} events are not those that were sealed before: the log was rewritten.", **both
        )
    dated(folder, pinned, old)
    return {"old": old.size, "new": new.size}


def _signed_by_the_log(policy: Policy | None, *checkpoints: Checkpoint) -> Policy:
    # Only what the log itself has signed can be held against it, or believed.
    if policy is None:
        raise Undecided("Without --policy nobody's signature is checked, and anybody may have written these heads.")
    for each in checkpoints:
        if policy.log_of(each) is None:
            raise Undecided(f"No log of the policy has signed {each.where}, of {each.size} events.")
    return policy


def _continues(tiles: Tiles, old: Checkpoint, new: Checkpoint, folder: Folder) -> bool:
    # Whether the new tree, whose tiles these are, begins with the old one.
    if old.size == 0:
        return True
    path = prove_consistency(tiles, old.size, new.size)
    # The path alone leads to both roots of the tree that the tiles hold; the old one may be another tree's.
    begins = root_at(tiles, old.size)
    if roots_from_consistency(old.size, new.size, begins, path) != (begins, new.root):
        raise False_(
            f"The tiles in {folder} contradict each other: fsck says where.",
            checkpoint=new.note.decode(),
            path=[base64.b64encode(each).decode() for each in path],
        )
    return begins == old.root


def fsck(folder: Folder) -> dict[str, Any]:
    """Every leaf has its form, its place and its hash, and none is dated before another one; every tile is that of the
    level below; the root is theirs. Whose signature stands under the root is not looked at: see ``signatures``.
    """
    checkpoint = folder.checkpoint()
    size, tiles = checkpoint.size, folder.tiles(checkpoint.size)
    note = checkpoint.note.decode()
    above: list[bytes] = []
    position, before = 0, b""
    with Progress("Checking", size) as progress:
        for index, leaves in enumerate(folder.bundles(size)):
            hashes = [leaf_hash(leaf) for leaf in leaves]
            tile = tiles(0, index)
            if b"".join(hashes) != tile:
                _accuse_leaf(tiles, checkpoint, index, leaves, hashes, tile)
            for leaf in leaves:
                position += 1
                # The leaf's own number stands where it has to: this event is at this position, and no other is.
                if not leaf.startswith(b"%b%d\n" % (LEAF, position)) or leaf.count(b"\n") < 7 or len(leaf) > LONGEST:
                    raise False_(
                        f"What is sealed at position {position} is not the event of this position.",
                        checkpoint=note,
                        leaf=base64.b64encode(leaf).decode(),
                    )
                # RFC 3339 in UTC with six digits of a second: its bytes are in the order of time.
                at = leaf.split(b"\n", 4)[3]
                if not is_time(at):
                    raise False_(
                        f"The event at position {position} is dated “{quoted(at)}”: that is no time.",
                        checkpoint=note,
                        leaf=base64.b64encode(leaf).decode(),
                    )
                if at < before:
                    raise False_(
                        f"The event at position {position} is dated before the one before it "
                        f"({quoted(at)} after {quoted(before)}): it was made up.",
                        checkpoint=note,
                        leaf=base64.b64encode(leaf).decode(),
                    )
                if (wrong := malformed(leaf)) is not None:
                    raise False_(
                        f"What is sealed at position {position} is no event of a hub: {wrong}.",
                        checkpoint=note,
                        leaf=base64.b64encode(leaf).decode(),
                    )
                before = at
            if len(hashes) == WIDTH:
                above.append(mth(hashes))
            progress.add(len(leaves))
    level = 1
    while above:
        full: list[bytes] = []
        for index in range((len(above) + WIDTH - 1) // WIDTH):
            row = above[index * WIDTH : (index + 1) * WIDTH]
            if b"".join(row) != tiles(level, index):
                raise False_(
                    f"The tile {path_of(level, index)} is not made of the tiles below it.",
                    checkpoint=note,
                    tile=path_of(level, index),
                )
            if len(row) == WIDTH:
                full.append(mth(row))
        above, level = full, level + 1
    if root_at(tiles, size) != checkpoint.root:
        raise False_(f"The {size} events do not lead to the root that was signed.", checkpoint=note)
    return {"size": size, "root": checkpoint.root.hex()}


def _accuse_leaf(
    tiles: Tiles,
    checkpoint: Checkpoint,
    index: int,
    leaves: list[bytes],
    hashes: list[bytes],
    tile: bytes,
) -> None:
    # Which of the two was changed: where the tile leads to the signed root, the event was.
    n = next(n for n, each in enumerate(hashes) if each != tile[n * HASH : (n + 1) * HASH])
    position = index * WIDTH + n + 1
    proof = {
        "checkpoint": checkpoint.note.decode(),
        "position": position,
        "event": base64.b64encode(leaves[n]).decode(),
    }
    if _is_sealed(tiles, checkpoint, index, tile):
        # The signed root leads to the hash in the tile: whoever holds the evidence sees what should be there.
        proof["sealed_hash"] = tile[n * HASH : (n + 1) * HASH].hex()
        raise False_(f"The event at position {position} is not the one that was sealed there: it was changed.", **proof)
    raise False_(f"The tile {path_of(0, index)} does not hold the hash of the event at position {position}.", **proof)


def _is_sealed(tiles: Tiles, checkpoint: Checkpoint, index: int, tile: bytes) -> bool:
    if root_at(tiles, checkpoint.size) != checkpoint.root:
        return False
    if len(tile) < WIDTH * HASH:
        return True
    at = index % WIDTH * HASH
    own = mth([tile[n : n + HASH] for n in range(0, len(tile), HASH)])
    return tiles(1, index // WIDTH)[at : at + HASH] == own


def proof(text: str, where: str, policy: Policy | None) -> dict[str, Any]:
    """A C2SP ``tlog-proof`` with its leaf: this event is at this position."""
    before, blank, note = text.partition("\n\n")
    first, *lines = before.split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not blank:
        raise Unusable(f"{where} is no C2SP tlog-proof")
    if not lines or not lines[0].startswith("extra "):
        raise Unusable(f"{where} does not hold the event that it is about")
    leaf = base64_of(lines[0].removeprefix("extra "), f"the event in {where}")
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise Unusable(f"{where} does not say where the event stands")
    index = decimal(lines[1].removeprefix("index "), f"the index in {where}")
    path = [base64_of(line, f"a hash in {where}") for line in lines[2:]]
    checkpoint = Checkpoint(note.encode(), f"the checkpoint in {where}")
    said = {"checkpoint": checkpoint.note.decode(), "leaf": lines[0].removeprefix("extra ")}
    if any(len(each) != HASH for each in path) or index >= checkpoint.size:
        raise Unusable(f"the path in {where} has not the form of one")
    if root_from_inclusion(leaf_hash(leaf), index, checkpoint.size, path) != checkpoint.root:
        # Whoever wrote the file, the log has not signed it: there is nobody to accuse.
        raise Unusable(f"The path in {where} does not lead from its event to its checkpoint: this is no proof")
    if policy is None:
        raise Undecided(
            f"The path leads from the event at position {index + 1} to the checkpoint; without --policy nobody's "
            "signature was checked."
        )
    signed = signatures(checkpoint, policy)
    try:
        event = parsed(leaf)
    except ValueError:
        raise False_(f"What is sealed at position {index + 1} is not an event of a hub.", **said) from None
    if event.position != index + 1:
        raise False_(f"The event says that it is number {event.position}, and is sealed at {index + 1}.", **said)
    return {
        "position": event.position,
        "type": event.type,
        "at": event.at,
        "actor": event.actor,
        "origin": checkpoint.origin,
        "data": event.data.decode(errors="replace"),
        **signed,
    }


def compare(one: Folder, other: Folder, policy: Policy | None) -> dict[str, Any]:
    """Two copies of one log agree: the larger one begins with the smaller one."""
    small, large = sorted((one, other), key=lambda each: each.checkpoint().size)
    old, new = small.checkpoint(), large.checkpoint()
    both = {"one": old.note.decode(), "other": new.note.decode()}
    if old.origin != new.origin:
        raise Unusable(f"{one} is of “{one.checkpoint().origin}”, {other} of “{other.checkpoint().origin}”.")
    _signed_by_the_log(policy, old, new)
    if root_at(large.tiles(new.size), new.size) != new.root:
        raise False_(f"The tiles in {large} do not lead to the root of its checkpoint.", **both)
    if not _continues(large.tiles(new.size), old, new, large):
        raise False_(
            f"Two histories were signed, of {old.size} and of {new.size} events: one does not begin with the other; "
            f"they part at position {_parting(small, large)}.",
            **both,
        )
    # The same tree, so the same events: where a copy holds others, it was changed after it was fetched.
    if (position := _parting(small, large)) is not None:
        raise False_(
            f"The trees agree, and the events at position {position} do not: fsck says which copy was changed.", **both
        )
    return {"one": one.checkpoint().size, "other": other.checkpoint().size}


def _parting(one: Folder, other: Folder) -> int | None:
    # The first position at which two copies hold different events, as far as both hold any.
    position = 0
    bundles = zip(one.bundles(one.checkpoint().size), other.bundles(other.checkpoint().size), strict=False)
    for left, right in bundles:
        for a, b in zip(left, right, strict=False):
            position += 1
            if a != b:
                return position
    return None
