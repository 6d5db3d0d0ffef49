"""``fetch``: copies a hub's log to the disk; what is there whole is not asked for again.

Nothing that a server says is believed, neither sizes nor names.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hub_audit.folder import Folder, holds, parsed, path_of
from hub_audit.notes import Checkpoint, Policy
from hub_audit.outcome import False_, Undecided
from hub_audit.progress import Progress
from hub_audit.remote import Remote
from hub_audit.tree import HASH, WIDTH, root_at

AT_ONCE = 4
"""Connections."""
MOST = 2**40
_NAME = re.compile(r"[a-z_]{1,40}")
_HASH = re.compile(r"[0-9a-f]{64}")
Wanted = tuple[int | str, int, int]


def fetch(
    url: str, path: Path, token: str | None, again: bool = False, policy: Policy | None = None
) -> tuple[Checkpoint, int]:
    """Copy the log; answers the checkpoint that it was copied for, and how many files were new.

    The checkpoint is written last: what stands in the folder is always whole, whenever this is ended. It replaces the
    one that is here only where it continues it. Every head that was served is kept in ``seen``, whatever follows.
    With a ``policy`` nothing more is asked for unless a log of it has signed the checkpoint.
    With ``again`` what is here is asked for too; raises ``False_`` where something else is served now.
    """
    remote, folder = Remote(url, token), Folder(path)
    note = remote.get("checkpoint")
    if note is None:
        raise Undecided(f"{url} has no checkpoint: is this the log's address (…/log), and was anything sealed yet?")
    checkpoint = Checkpoint(note, f"{url}/checkpoint")
    if checkpoint.size > MOST:
        raise Undecided(f"{url} claims a log of {checkpoint.size} events: that is not believable.")
    if policy is not None and policy.log_of(checkpoint) is None:
        raise Undecided(f"No log of the policy has signed what {url} serves: nothing was fetched.")
    folder.make()
    # Never over another one: what was served under fewer signatures takes away none.
    name = f"seen/{checkpoint.size}-{checkpoint.root.hex()[:12]}"
    if (path / name).exists() and (path / name).read_bytes() != note:
        name += f"-{hashlib.sha256(note).hexdigest()[:12]}"
    folder.keep(name, note)
    kept = folder.checkpoint() if (path / "checkpoint").exists() else None
    if kept is not None and kept.size > checkpoint.size:
        raise Undecided(f"{kept.size} events are here, and {url} serves {checkpoint.size} now: nothing was replaced.")
    new = 0
    changed: list[str] = []
    with Progress("Fetching", checkpoint.size) as progress, ThreadPoolExecutor(AT_ONCE) as pool:

        def copy(wanted: Wanted) -> bool:
            level, index, width = wanted
            missing = not folder.is_whole(level, index, width)
            if missing:
                _copy(remote, folder, level, index, width)
            elif again and (other := _other(remote, folder, level, index, width)):
                changed.append(other)
            progress.add(width if level == "entries" else 0)
            return missing

        # A few at a time, in order: a size that is a lie ends at the first file that is not there.
        files = _files(checkpoint.size)
        while some := list(itertools.islice(files, 8 * AT_ONCE)):
            new += sum(pool.map(copy, some))
    if changed:
        raise False_(
            f"Of what is here, {url} serves {len(changed)} files otherwise now: {sorted(changed)[0]} first. What it "
            f"serves is kept in {path / 'evidence' / 'served'}; fsck says which of both are what was sealed.",
            files=sorted(changed),
            checkpoint=note.decode(),
        )
    if kept is not None and not _continued(folder, kept, checkpoint):
        raise Undecided(
            f"What {url} serves now does not continue the {kept.size} events that are here: the checkpoint was not "
            f"replaced. “consistency” decides with a policy, on a copy in an empty folder. Keep this one."
        )
    _rows(remote, folder, checkpoint.size)
    if kept is None or not _says_less(checkpoint, kept):
        folder.keep("checkpoint", note)
    return checkpoint, new


def _says_less(new: Checkpoint, kept: Checkpoint) -> bool:
    # Whether it is the same head, without somebody's signature that was there.
    mine, theirs = ({(name, id) for name, id, _ in each.signatures} for each in (kept, new))
    return new.text == kept.text and not mine <= theirs


def _other(remote: Remote, folder: Folder, level: int | str, index: int, width: int) -> str | None:
    # The name of a file that is served otherwise than it is here.
    own = folder.read(level, index, width)
    for wide in (width, WIDTH) if width < WIDTH else (WIDTH,):
        name = path_of(level, index, wide)
        if (data := remote.get(name)) is None:
            continue
        # A full tile begins with the partial one.
        if holds(data, level, width, wide) and (data.startswith(own) or own.startswith(data)):
            return None
        folder.keep(f"evidence/served/{name}", data)
        return name
    raise Undecided(f"{remote.url} does not serve {path_of(level, index, width)} any more, which is here.")


def _continued(folder: Folder, kept: Checkpoint, new: Checkpoint) -> bool:
    tiles = folder.tiles(new.size)
    return root_at(tiles, new.size) == new.root and root_at(folder.tiles(new.size), kept.size) == kept.root


def _copy(remote: Remote, folder: Folder, level: int | str, index: int, width: int) -> None:
    # A server need not keep a partial tile once the full one is there.
    for wide in (width, WIDTH) if width < WIDTH else (WIDTH,):
        data = remote.get(path_of(level, index, wide))
        if data is None:
            continue
        folder.keep(path_of(level, index, wide), data)
        if not folder.is_whole(level, index, width):
            raise Undecided(f"{remote.url}/{path_of(level, index, wide)} is cut short.")
        return
    raise Undecided(f"{remote.url} has no {path_of(level, index, width)}.")


def _files(size: int) -> Iterator[Wanted]:
    for level in ("entries", *range(8)):
        count = size if level == "entries" else size >> 8 * int(level)
        for index in range((count + WIDTH - 1) // WIDTH):
            yield level, index, min(WIDTH, count - index * WIDTH)


def seals_of(folder: Folder, size: int, most: int | None = None) -> list[dict[str, Any]]:
    """The newest seal of the read models in a log of this size, of a position not after ``most``: one for each model.

    Empty where there is none.
    """
    return (every_seal(folder, size, most) or [[]])[-1]


def every_seal(folder: Folder, size: int, most: int | None = None) -> list[list[dict[str, Any]]]:
    """All of them, in the order of their positions; what is no seal, whatever its event is called, is none."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for leaves in folder.bundles(size):
        for leaf in leaves:
            if b"\nReadModelSealed\n" in leaf[:60]:
                said = _seal(leaf, size)
                if said is not None and said["position"] <= (most or size):
                    found.setdefault((said["position"], said["seal"]), []).append(said)
    return [found[key] for key in sorted(found)]


def _seal(leaf: bytes, size: int) -> dict[str, Any] | None:
    try:
        said = json.loads(parsed(leaf).data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    position, rows = said.get("position"), said.get("rows")
    numbers = type(position) is int and type(rows) is int and 0 < position <= size and 0 <= rows <= size
    texts = all(isinstance(said.get(name), str) for name in ("name", "root", "code", "seal"))
    if not numbers or not texts or not _NAME.fullmatch(said["name"]) or not _HASH.fullmatch(said["root"]):
        return None
    return said


def _rows(remote: Remote, folder: Folder, size: int) -> None:
    # The hashes of the newest sealed rows: they let replay name a row. The hub keeps those of its newest seals only.
    for seal in seals_of(folder, size):
        name, position, count = seal["name"], seal["position"], seal["rows"]
        if (folder.path / f"rows/{position}/{name}").exists():
            continue
        parts: list[bytes] = []
        for n in range((count + WIDTH - 1) // WIDTH):
            part = remote.get(f"rows/{name}/{position}/{n}")
            if part is None or len(part) != HASH * min(WIDTH, count - n * WIDTH):
                break
            parts.append(part)
        else:
            folder.keep(f"rows/{position}/{name}", b"".join(parts))
