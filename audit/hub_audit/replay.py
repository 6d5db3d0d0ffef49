"""``replay``: read models rebuilt from a fetched log, and compared with what the hub has sealed.

The one command that needs the hub's folds: its packages ``domain`` and ``projections``, pure code, in the version whose
digest stands in the seal. How events are taken through them, and how rows are hashed, is written here anew.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hub_audit.canonical import canonical
from hub_audit.fetch import every_seal
from hub_audit.folder import Folder, parsed
from hub_audit.outcome import False_, Undecided, quoted
from hub_audit.progress import Progress
from hub_audit.tree import HASH, leaf_hash, mth

Key = tuple[Any, ...]


def code_of(*packages: Any) -> str:
    """``find domain projections -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum``."""
    lines = {}
    for package in packages:
        folder = Path(package.__file__).parent
        for file in folder.rglob("*.py"):
            name = f"{package.__name__}/{file.relative_to(folder).as_posix()}"
            lines[name] = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n"
    return hashlib.sha256("".join(lines[name] for name in sorted(lines)).encode()).hexdigest()


class Models:
    """The read models as the folds make them."""

    def __init__(self) -> None:
        """Raises ``Undecided`` where the folds are not installed."""
        try:
            import msgspec

            import domain
            import projections
            from domain.core import Codec
            from projections import core, history
        except ImportError as error:
            raise Undecided(f"Replay needs the hub's folds: install the hub's own package ({error}).") from None
        self.code = code_of(domain, projections)
        self._decode, self._failed = Codec().decode, core.FoldFailed
        # Folds of an earlier hub told nobody that they read something no more.
        self._entry, self._concerned = history.entry, getattr(history, "concerned", _readers)
        self._plain: Callable[[Any], Any] = msgspec.to_builtins
        self.rows: dict[str, dict[Key, Any]] = {cls.table: {} for cls in core.every_row()}
        self._parked: set[tuple[str, Key]] = set()
        self._fold = core.fold
        self._folding: dict[type, list[tuple[Any, Any, bool]]] = {}
        self._history: dict[str, list[int]] = {}
        self._replaced: Callable[..., Any] = msgspec.structs.replace
        for cls in core.every_row():
            for event, (_, makes) in cls.folds.items():
                self._folding.setdefault(event, []).append((cls, cls.keyed(), makes))

    def take(self, leaf: bytes) -> None:
        """Fold an event into every row that it concerns."""
        try:
            found = parsed(leaf)
            event, at = self._decode(found.type, found.data), datetime.fromisoformat(found.at)
        except (ValueError, LookupError, RecursionError) as error:
            start = quoted(b" ".join(leaf[:60].split(b"\n")[1:3]))
            raise Undecided(
                f"The event “{start}” is not understood by the folds that are installed here "
                f"({type(error).__name__}): install the hub's version of that time."
            ) from None
        concerned: list[tuple[str, ...]] = []
        for cls, keyed, makes in self._folding.get(type(event), ()):
            table, key = keyed(event)
            if (table, key) in self._parked:
                if cls.within is None:
                    concerned.append(())
                continue
            rows = self.rows[table]
            before = None if makes else rows.get(key)
            try:
                after = self._fold(cls, before, event, at)
            except self._failed:
                # What cannot be folded stays as it was, here as in the hub, and its record is left alone from then on.
                self._parked.add((table, key))
                if cls.within is None:
                    concerned.append(())
                continue
            if after is None:
                rows.pop(key, None)
            else:
                rows[key] = after
            if cls.within is None:
                concerned.append(self._concerned(before, after))
            if cls.key == ("id",):
                now = getattr(after or before, "readers", ())
                self._withdraw(key[0], set(getattr(before, "readers", ())) - set(now))
        entry = self._entry(event, found.position, found.actor, at, concerned)
        self.rows["entry"][found.position,] = entry
        self._history.setdefault(entry.record, []).append(found.position)

    def _withdraw(self, record: str, gone: set[str]) -> None:
        # Who may read a record no more, reads nothing of what happened in it before.
        entries = self.rows["entry"]
        for position in self._history.get(record, ()) if gone else ():
            entry = entries[position,]
            entries[position,] = self._replaced(entry, readers=tuple(r for r in entry.readers if r not in gone))

    def sorted(self, name: str) -> list[tuple[Key, str]]:
        """The rows of a read model in the order of their keys, each in canonical JSON."""
        rows = self.rows[name]
        return [(key, canonical(self._plain(rows[key]))) for key in sorted(rows)]


def _readers(before: Any, after: Any) -> tuple[str, ...]:
    return tuple(getattr(after or before, "readers", ()))


def replay(folder: Folder, size: int, at: int | None, every: bool = False) -> dict[str, Any]:
    """Rebuild the read models up to the newest seal (not after ``at``), and compare; answers what was compared.

    With ``every``, at each seal on the way that the folds installed here have made: one that was wrong stays so, though
    a right one follows.
    """
    models = Models()
    seals = every_seal(folder, size, at)
    if not seals:
        raise Undecided("No seal of the read models is in this log: ask for one, or fetch again later.")
    own = [seal for seal in seals if all(each["code"] == models.code for each in seal)]
    if not own or own[-1] is not seals[-1]:
        raise Undecided(
            f"The folds that are installed here ({models.code[:16]}…) are not those of the seal "
            f"({str(seals[-1][0]['code'])[:16]}…): install the hub's version of that time."
        )
    due: dict[int, list[list[dict[str, Any]]]] = {}
    for seal in own if every else own[-1:]:
        # Two of one position: a right one makes a wrong one no better.
        due.setdefault(seal[0]["position"], []).append(seal)
    position, tiles = max(due), folder.tiles(size)
    with Progress("Replaying", position) as progress:
        done = 0
        for index, leaves in enumerate(folder.bundles(size, position)):
            if b"".join(map(leaf_hash, leaves)) != tiles(0, index)[: len(leaves) * HASH]:
                raise Undecided(f"{folder} holds other events than its tree has hashes of: fsck says which.")
            for leaf in leaves:
                models.take(leaf)
                done += 1
                for seal in due.get(done, ()):
                    _all(folder, models, seal)
            progress.add(len(leaves))
    return {
        "position": position,
        "positions": sorted(due),
        "size": size,
        "folds": models.code,
        # Nobody can install folds that never were: whoever audits looks each of these up among the releases.
        "others": _others(seals, models.code) if every else {},
        "models": {seal["name"]: seal["rows"] for seal in due[position][-1]},
    }


def _others(seals: list[list[dict[str, Any]]], own: str) -> dict[str, list[int]]:
    # The positions of the seals by other folds, by their digests.
    found: dict[str, list[int]] = {}
    for seal in seals:
        for code in sorted({each["code"] for each in seal} - {own}):
            found.setdefault(code, []).append(seal[0]["position"])
    return found


def _all(folder: Folder, models: Models, seals: list[dict[str, Any]]) -> None:
    for seal in seals:
        _compare(folder, models, seal)
    missing = models.rows.keys() - {seal["name"] for seal in seals}
    if missing:
        raise Undecided(f"These read models were not sealed: {', '.join(sorted(missing))}.")


def _compare(folder: Folder, models: Models, seal: dict[str, Any]) -> None:
    name, position = seal["name"], seal["position"]
    if name not in models.rows:
        raise Undecided(f"The read model “{name}” is not known to the folds that are installed here.")
    rows = models.sorted(name)
    hashes = [leaf_hash(text.encode()) for _, text in rows]
    if (len(hashes), mth(hashes).hex()) == (seal["rows"], seal["root"]):
        return
    proof = {"seal": seal, "replayed": {"rows": len(hashes), "root": mth(hashes).hex()}}
    try:
        sealed = (folder.path / f"rows/{position}/{name}").read_bytes()
    except OSError:
        sealed = b""
    theirs = [sealed[n : n + HASH] for n in range(0, len(sealed), HASH)]
    if mth(theirs).hex() != seal["root"]:
        raise False_(
            f"The read model “{name}”, as it was sealed at position {position}, is not what its events give "
            "(the hashes of its rows are not here to say which row).",
            **proof,
        )
    n = next((n for n, (a, b) in enumerate(zip(hashes, theirs, strict=False)) if a != b), min(len(hashes), len(theirs)))
    if n < len(rows):
        key, text = rows[n]
        proof["row"] = {"key": key, "replayed": text, "sealed": theirs[n].hex() if n < len(theirs) else None}
        where = f"the first row that differs is {' '.join(map(str, key))}"
    else:
        where = f"it holds {len(theirs) - len(rows)} rows that no event has made"
    raise False_(
        f"The read model “{name}”, as it was sealed at position {position}, is not what its events give: {where}.",
        **proof,
    )
