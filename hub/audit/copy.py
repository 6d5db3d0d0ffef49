"""A copy of a log in a folder, laid out as C2SP ``tlog-tiles`` serves it: of mirrors, and to restore hubs from."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hub.audit.merkle import WIDTH, Edge, Tile, edge_tiles, tile_path, unbundled
from hub.audit.notes import Checkpoint, Malformed
from hub.files import written

_SEALED = re.compile(rb'"sealed":"([0-9a-f]{64})"')
_ID = re.compile(r"[a-z]+_[0-9a-z]{26}", re.ASCII)


@dataclass(frozen=True)
class Leaf:
    """An event as it is hashed, in the form in which the log's table takes it."""

    position: int
    type: str
    at: datetime
    actor: str
    request: str
    tags: str
    data: str

    @classmethod
    def parse(cls, leaf: bytes) -> "Leaf":
        """From its bytes; raises ``Malformed``."""
        try:
            head, position, type, at, actor, request, tags, data = leaf.decode().split("\n", 7)
            if head != "hub-event/v1" or len(position) > 18:
                raise ValueError(head)
            return cls(int(position), type, datetime.fromisoformat(at), actor, request, tags, data)
        except ValueError:
            raise Malformed("a leaf of this log is no event of a hub") from None

    @property
    def boxes(self) -> list[str]:
        """The digests of the boxes in which its personal values are."""
        return [digest.decode() for digest in _SEALED.findall(self.data.encode())]

    @property
    def person(self) -> str:
        """The person whose values these are."""
        try:
            data = json.loads(self.data)
        except (ValueError, RecursionError):
            return ""
        person = data.get("person") if isinstance(data, dict) else None
        return person if isinstance(person, str) and _ID.fullmatch(person) else ""


class Copy:
    """The files of a copied log; each is written whole or not at all, the checkpoint after all that it covers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint up to which the copy was verified; ``None`` in a new one. Raises ``Malformed``."""
        note = self.read("checkpoint")
        return None if note is None else Checkpoint.parse(note)

    def read(self, name: str) -> bytes | None:
        """A file; ``None`` where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        """A file, durably."""
        file = self.folder / name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        written(file, data, 0o644)

    def tile(self, level: int | str, index: int, width: int) -> bytes | None:
        """A tile or bundle, as wide as is asked for or wider."""
        found = self.read(tile_path(level, index, width))
        return self.read(tile_path(level, index)) if found is None and width < WIDTH else found

    def edge(self, size: int) -> Edge:
        """The right edge of the tree of this size; raises ``Malformed`` where a tile is missing."""
        tiles: dict[Tile, bytes] = {}
        for level, index in edge_tiles(size):
            if wide := (size >> 8 * level) - index * WIDTH:
                tiles[level, index] = self.tile(level, index, wide) or b""
        try:
            return Edge.read(size, tiles)
        except KeyError as error:
            raise Malformed(f"tile {error} is missing in {self.folder}") from None

    def leaves(self, size: int, after: int = 0) -> Iterator[list[bytes]]:
        """The leaves of a copy of this size after a position, a bundle's at a time; raises ``Malformed``."""
        for index in range(after // WIDTH, (size + WIDTH - 1) // WIDTH):
            wide = min(WIDTH, size - index * WIDTH)
            bundle = self.tile("entries", index, wide)
            try:
                leaves = unbundled(bundle or b"")[:wide]
            except ValueError as error:
                raise Malformed(str(error)) from None
            if len(leaves) < wide:
                raise Malformed(f"{tile_path('entries', index, wide)} is missing in {self.folder}, or too short")
            yield leaves[max(0, after - index * WIDTH) :]

    def keep_tiles(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles, full and partial."""
        for (level, index), hashes in tiles:
            self.write(tile_path(level, index, len(hashes) // 32), hashes)
