"""RFC 6962 by its recursive definition (2.1), and proofs by the same recursion: written from the text of the RFC."""

import hashlib
from collections.abc import Callable, Sequence

HASH, WIDTH = 32, 256


def leaf_hash(entry: bytes) -> bytes:
    """MTH({d(0)}) = SHA-256(0x00 || d(0))."""
    return hashlib.sha256(b"\0" + entry).digest()


def pair_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def half(n: int) -> int:
    """The largest power of two smaller than n (n > 1)."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaves that are hashed already."""
    if len(hashes) == 0:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = half(len(hashes))
    return pair_hash(mth(hashes[:k]), mth(hashes[k:]))


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that PATH(index, D[size]) leads to from a leaf's hash; ``None`` where the path has a wrong length."""
    if index >= size:
        return None
    if size == 1:
        return None if path else leaf
    if not path:
        return None
    k = half(size)
    if index < k:
        left = root_from_inclusion(leaf, index, k, path[:-1])
        return None if left is None else pair_hash(left, path[-1])
    right = root_from_inclusion(leaf, index - k, size - k, path[:-1])
    return None if right is None else pair_hash(path[-1], right)


Read = Callable[[int, int], bytes]
"""Reads the tile of a level and index, at least as wide as it is needed."""


def subtree(read: Read, start: int, end: int) -> bytes:
    """MTH(D[start:end]) for a range that the recursion visits, from tiles; raises what ``read`` raises."""
    n = end - start
    level, size = 0, 1
    while size * WIDTH <= n:
        level, size = level + 1, size * WIDTH
    first, count = start // size % WIDTH, n // size
    if n % size == 0 and start % size == 0 and first + count <= WIDTH:
        tile = read(level, start // size // WIDTH)
        hashes = [tile[i * HASH : (i + 1) * HASH] for i in range(first, first + count)]
        if any(len(each) != HASH for each in hashes):
            raise LookupError(f"tile {start // size // WIDTH} of level {level} is too narrow")
        return mth(hashes)
    k = half(n)
    return pair_hash(subtree(read, start, start + k), subtree(read, start + k, end))


def root_at(read: Read, size: int) -> bytes:
    """The root of the tree of this size, from tiles."""
    return mth([]) if size == 0 else subtree(read, 0, size)


def prove_consistency(read: Read, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]) from tiles (2.1.2), for 0 < old <= new."""

    def subproof(m: int, start: int, n: int, whole: bool) -> list[bytes]:
        if m == n:
            return [] if whole else [subtree(read, start, start + n)]
        k = half(n)
        if m <= k:
            return [*subproof(m, start, k, whole), subtree(read, start + k, start + n)]
        return [*subproof(m - k, start + k, n - k, False), subtree(read, start, start + k)]

    return subproof(old, 0, new, True)


def roots_from_consistency(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots of both trees that a consistency proof leads to; ``None`` where it has a wrong length."""
    rest = list(path)

    def follow(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            hash = old_root if whole else rest.pop()
            return hash, hash
        k, last = half(n), rest.pop()
        if m <= k:
            before, after = follow(m, k, whole)
            return before, pair_hash(after, last)
        before, after = follow(m - k, n - k, False)
        return pair_hash(last, before), pair_hash(last, after)

    try:
        found = follow(old, new, True)
    except IndexError:
        return None
    return None if rest else found
