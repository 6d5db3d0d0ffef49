"""A fetched log on the disk, as C2SP ``tlog-tiles`` lays it out; and the leaves in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hub_audit.notes import Checkpoint
from hub_audit.outcome import Absent, Undecided, Unusable
from hub_audit.tree import HASH, WIDTH

LEAF = b"hub-event/v1\n"
SPARE = 256_000_000
"""Bytes that are left free on a disk: whatever a log claims to be, it fills none."""


def path_of(level: int | str, index: int, width: int = WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]``."""
    name = f"{index:03d}" if index < 1_000 else f"{index % 1_000:03d}"
    while index >= 1_000:
        index //= 1_000
        name = f"x{index % 1_000:03d}/{name}"
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


@dataclass(frozen=True)
class Leaf:
    """An event as it is hashed."""

    position: int
    type: str
    at: str
    actor: str
    request: str
    tags: str
    data: bytes


def parsed(leaf: bytes) -> Leaf:
    """The fields of a leaf; raises ``ValueError`` where it is none."""
    head, position, type, at, actor, request, tags, data = leaf.split(b"\n", 7)
    if head + b"\n" != LEAF or not position.isdigit() or position.startswith(b"0") or len(position) > 18:
        raise ValueError("no hub event")
    return Leaf(int(position), type.decode(), at.decode(), actor.decode(), request.decode(), tags.decode(), data)


def _leaves(bundle: bytes) -> tuple[list[bytes], bool]:
    # As many whole leaves as there are, at most those of a full bundle; and whether nothing follows them.
    leaves, at = list[bytes](), 0
    while at + 2 <= len(bundle) and len(leaves) < WIDTH:
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if end > len(bundle):
            break
        leaves.append(bundle[at + 2 : end])
        at = end
    return leaves, at == len(bundle)


def holds(data: bytes, level: int | str, width: int, wide: int) -> bool:
    """Whether a tile or bundle, in the file for ``wide`` of them, holds at least ``width`` hashes or leaves, and holds
    nothing else.
    """
    if level != "entries":
        return len(data) == wide * HASH and wide >= width
    leaves, whole = _leaves(data)
    return whole and len(leaves) == wide >= width


class Folder:
    """A fetched log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the folder where it is missing: what an auditor reads is not for everybody. Raises ``Unusable``."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(f"{self.path} cannot be used: {error.strerror}.") from None

    def is_whole(self, level: int | str, index: int, width: int) -> bool:
        """Whether a tile or bundle of at least this width is here, and not cut short."""
        try:
            wide, data = self._found(level, index, width)
        except Undecided:
            return False
        return holds(data, level, width, wide)

    def holds_events(self) -> bool:
        """Whether any of its events is here: who fetched it without a token has none."""
        return any(each.is_file() for each in (self.path / "tile/entries").rglob("*"))

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that it was fetched for; raises ``Undecided`` or ``Unusable``."""
        file = self.path / "checkpoint"
        try:
            return Checkpoint(file.read_bytes(), str(file))
        except OSError as error:
            raise Undecided(f"{file} cannot be read ({error.strerror}): fetch the log first.") from None

    def read(self, level: int | str, index: int, width: int) -> bytes:
        """A tile or bundle of at least this width; raises ``Undecided``."""
        wide, data = self._found(level, index, width)
        if not holds(data, level, width, wide):
            name = self.path / path_of(level, index, wide)
            raise Undecided(f"{name} is cut short, or holds more than belongs there: fetch the log again.")
        return data

    def _found(self, level: int | str, index: int, width: int) -> tuple[int, bytes]:
        for wide in (width, WIDTH) if width < WIDTH else (WIDTH,):
            file = self.path / path_of(level, index, wide)
            try:
                return wide, file.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Undecided(f"{file} cannot be read: {error.strerror}.") from None
        raise Absent(f"{self.path / path_of(level, index, width)} is missing: fetch the log again.")

    def tiles(self, size: int) -> "Tiles":
        """The tiles of the tree of this size."""
        return Tiles(self, size)

    def bundles(self, size: int, most: int | None = None) -> Iterator[list[bytes]]:
        """The leaves of a log that was fetched at this size, 256 at a time, ``most`` of them at most.

        Raises ``Undecided`` where a bundle is missing or cut short.
        """
        most = size if most is None else min(most, size)
        for index in range((most + WIDTH - 1) // WIDTH):
            width = min(WIDTH, size - index * WIDTH)
            leaves, _ = _leaves(self.read("entries", index, width))
            yield leaves[:width][: most - index * WIDTH]

    def leaf(self, position: int, size: int) -> bytes:
        """The leaf at a position of a log that was fetched at this size; raises ``Undecided``."""
        index, at = divmod(position - 1, WIDTH)
        return _leaves(self.read("entries", index, min(WIDTH, size - index * WIDTH)))[0][at]

    def seen(self) -> Iterator[Checkpoint]:
        """Every head that was served and is one, in no order."""
        for file in sorted((self.path / "seen").glob("*")):
            with suppress(OSError, Unusable):
                yield Checkpoint(file.read_bytes(), str(file))

    def keep(self, name: str, data: bytes) -> None:
        """Write a file whole, or not at all."""
        file = self.path / name
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(file.parent).free < SPARE + len(data):
                raise Undecided(f"The disk of {self.path} is almost full: nothing more is written there.")
            fresh.write_bytes(data)
            fresh.replace(file)
        except OSError as error:
            raise Unusable(f"{file} cannot be written: {error.strerror}.") from None

    def __str__(self) -> str:
        return str(self.path)


class Tiles:
    """Reads tiles of a tree of one size, each once."""

    def __init__(self, folder: Folder, size: int) -> None:
        self._folder, self._size = folder, size
        self._read: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        if (level, index) not in self._read:
            width = min(WIDTH, (self._size >> 8 * level) - index * WIDTH)
            if width < 1:
                raise Unusable(f"A tree of {self._size} leaves has no tile {index} at level {level}.")
            tile = self._folder.read(level, index, width)[: width * HASH]
            self._read[level, index] = tile
        return self._read[level, index]
