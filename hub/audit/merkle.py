"""The Merkle tree of RFC 6962 over the log's leaves, kept as tiles (C2SP ``tlog-tiles``); pure.

The tree's shape: a range of leaves splits at the largest power of two below its length. So every hash that a root or a
proof needs is that of a *complete* subtree, or of a range that is a row of complete ones; tiles hold the complete ones.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

WIDTH = 256
"""The hashes in a full tile: a tile spans eight levels of the tree."""
HASH = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Range = tuple[int, int]
"""Leaves from the first index up to, and without, the second."""
Tile = tuple[int, int]
"""A tile's level and its index within the level."""
_sha256 = hashlib.sha256


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these hashes, taken as leaves' hashes."""
    if not hashes:
        return EMPTY
    row = list(hashes)
    while len(row) > 1:
        # The last of an odd row goes up as it is: that is where the shape puts it.
        above = [_sha256(b"\x01" + row[n] + row[n + 1]).digest() for n in range(0, len(row) - 1, 2)]
        row = above + row[len(row) - 1 :] if len(row) % 2 else above
    return row[0]


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[n : n + HASH] for n in range(0, len(tile), HASH)]


def width(size: int, level: int) -> int:
    """How many hashes the last, partial tile of a level has in a tree of this size; 0 where there is none."""
    return (size >> 8 * level) % WIDTH


def edge_tiles(size: int) -> list[Tile]:
    """The partial tiles at the right edge of a tree of this size, from level 0 up; of some levels there is none."""
    return [(level, (size >> 8 * level) // WIDTH) for level in range((size.bit_length() + 7) // 8)]


class Edge:
    """The right edge of a growing tree: its partial tiles, which are all that adding leaves needs."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[bytearray] = []

    @classmethod
    def read(cls, size: int, tiles: Mapping[Tile, bytes]) -> "Edge":
        """The edge of a tree of this size; raises ``KeyError`` where a tile is missing or too short."""
        edge = cls()
        edge.size = size
        for level, key in enumerate(edge_tiles(size)):
            wide = width(size, level) * HASH
            row = tiles[key][:wide] if wide else b""
            if len(row) < wide:
                raise KeyError(key)
            edge._rows.append(bytearray(row))
        return edge

    def copy(self) -> "Edge":
        """One that grows on its own."""
        edge = Edge()
        edge.size, edge._rows = self.size, [bytearray(row) for row in self._rows]
        return edge

    @property
    def partial(self) -> bytes:
        """The leaves' hashes in the last, partial tile."""
        return bytes(self._rows[0]) if self._rows else b""

    def grow(self, hashes: Sequence[bytes]) -> dict[Tile, bytes]:
        """Add leaves' hashes; answers the tiles that are new or wider now."""
        changed: dict[Tile, bytes] = {}
        size, level, new = self.size, 0, list(hashes)
        self.size += len(new)
        while new:
            if level == len(self._rows):
                self._rows.append(bytearray())
            row, index, full = self._rows[level], (size >> 8 * level) // WIDTH, list[bytes]()
            row += b"".join(new)
            while len(row) >= WIDTH * HASH:
                tile = bytes(row[: WIDTH * HASH])
                changed[level, index] = tile
                full.append(root_of(split(tile)))
                del row[: WIDTH * HASH]
                index += 1
            if row:
                changed[level, index] = bytes(row)
            # Each tile that is full is one hash of the level above.
            level, new = level + 1, full
        return changed

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        below: list[bytes] = []
        for row in self._rows:
            hashes = split(bytes(row)) + below
            below = [root_of(hashes)] if hashes else []
        return below[0] if below else EMPTY


def _half(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove the leaf of this index, from the leaf's sibling up."""
    lo, hi, path = 0, size, []
    while hi - lo > 1:
        middle = lo + _half(hi - lo)
        if index < middle:
            path.append((middle, hi))
            hi = middle
        else:
            path.append((lo, middle))
            lo = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of size ``old`` is the beginning of the one of size ``new``."""
    if old in (0, new):
        return []
    lo, hi, path = 0, new, []
    while hi != old:
        middle = lo + _half(hi - lo)
        if old <= middle:
            path.append((middle, hi))
            hi = middle
        else:
            path.append((lo, middle))
            lo = middle
    if lo:
        path.append((lo, hi))
    return path[::-1]


def _subtrees(lo: int, hi: int) -> Iterator[tuple[int, int]]:
    # The complete subtrees of a range, from the left: (height, index at that height).
    while lo < hi:
        height = (hi - lo).bit_length() - 1
        yield height, lo >> height
        lo += 1 << height


def tiles_of(ranges: Iterable[Range]) -> set[Tile]:
    """The tiles that hold what the hashes of these ranges are made of."""
    return {(h // 8, (n << h % 8) // WIDTH) for lo, hi in ranges for h, n in _subtrees(lo, hi)}


def hash_of(tiles: Mapping[Tile, bytes], lo: int, hi: int) -> bytes:
    """The hash of a range; raises ``KeyError`` where a tile is missing or too short."""
    if lo == hi:
        return EMPTY
    found = []
    for height, n in _subtrees(lo, hi):
        count, first = 1 << height % 8, n << height % 8
        key = height // 8, first // WIDTH
        part = tiles[key][first % WIDTH * HASH : (first % WIDTH + count) * HASH]
        if len(part) != count * HASH:
            raise KeyError(key)
        found.append(root_of(split(part)))
    hash = found.pop()
    while found:
        hash = node_hash(found.pop(), hash)
    return hash


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a consistency proof holds (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY
    rest = list(path)
    if old & (old - 1) == 0:
        rest.insert(0, old_root)
    if not rest:
        return False
    at, last = old - 1, new - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    first = second = rest[0]
    for each in rest[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            first, second = node_hash(each, first), node_hash(each, second)
            while at and not at % 2:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, each)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """The address of a tile (or, for the level ``entries``, of a bundle) below the log's prefix."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < WIDTH else "")


_PATH = re.compile(r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


def tile_named(path: str) -> tuple[str, int, int] | None:
    """The level (a number, or ``entries``), the index and the width that an address below ``tile/`` names."""
    found = _PATH.fullmatch(path)
    if found is None or len(found[2]) > 23:
        return None
    index, wide = int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
    if wide > WIDTH or tile_path(found[1], index, wide) != f"tile/{path}":
        return None
    return found[1], index, wide


def bundle(leaves: Iterable[bytes]) -> bytes:
    """An entry bundle: each leaf after its length in two bytes."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def unbundled(bundle: bytes) -> list[bytes]:
    """The leaves of a bundle; raises ``ValueError`` where it is cut short."""
    leaves, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if end > len(bundle):
            raise ValueError("an entry bundle is cut short")
        leaves.append(bundle[at + 2 : end])
        at = end
    return leaves
