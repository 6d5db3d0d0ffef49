"""The tree beside implementations that nobody here wrote: pymerkle at every size, Go's tlog; and the two of ours."""

import random

import pytest
from hub_audit import tree as auditors
from pymerkle import InmemoryTree, verify_consistency

from hub.audit import merkle

LEAVES = [b"leaf %d" % n for n in range(70_000)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


@pytest.fixture(scope="module")
def tiles():
    """The tiles of a tree of 70,000 leaves, grown in steps of every kind."""
    edge, found, chance = merkle.Edge(), {}, random.Random(1)
    while edge.size < len(HASHES):
        step = min(chance.choice([1, 2, 100, 255, 256, 257, 5_000]), len(HASHES) - edge.size)
        found.update(edge.grow(HASHES[edge.size : edge.size + step]))
        assert edge.root == merkle.hash_of(found, 0, edge.size)
    return found


def proofs(tiles, index, old, size):
    return (
        [merkle.hash_of(tiles, *each) for each in merkle.inclusion_ranges(index, size)],
        [merkle.hash_of(tiles, *each) for each in merkle.consistency_ranges(old, size)],
    )


def test_roots_and_proofs_are_pymerkles_at_every_size(tiles):
    oracle = InmemoryTree(algorithm="sha256")
    roots = [oracle.get_root(0)]
    for leaf in LEAVES[:300]:
        oracle.append_entry(leaf)
        roots.append(oracle.get_root())
    chance = random.Random(2)
    for size, root in enumerate(roots):
        assert merkle.root_of(HASHES[:size]) == merkle.hash_of(tiles, 0, size) == root
        assert auditors.mth(HASHES[:size]) == root
        if size == 0:
            continue
        # Every leaf of the small trees, a few of the larger ones, and every kind of edge.
        for index in range(size) if size <= 40 else {0, size - 1, *chance.sample(range(size), 5)}:
            old = index + 1
            path, both = proofs(tiles, index, old, size)
            theirs = oracle.prove_inclusion(index + 1, size).serialize()["path"]
            theirs.remove(HASHES[index].hex())
            assert [each.hex() for each in path] == theirs
            assert auditors.root_from_inclusion(HASHES[index], index, size, path) == root
            verify_consistency(merkle.root_of(HASHES[:old]), root, oracle.prove_consistency(old, size))
            assert merkle.is_consistent(old, size, roots[old], root, both)
            assert auditors.roots_from_consistency(old, size, roots[old], both) == (roots[old], root)


def test_proofs_of_large_trees_hold_in_go_and_here(tiles, go):
    chance = random.Random(3)
    for size in [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000, *chance.sample(range(1, 70_000), 60)]:
        index, old = chance.randrange(size), chance.randint(1, size)
        root, before = merkle.hash_of(tiles, 0, size), merkle.hash_of(tiles, 0, old)
        path, both = proofs(tiles, index, old, size)
        asked = {"size": size, "root": root}
        assert go.ask("inclusion", index=index, leaf=LEAVES[index], path=path, **asked) is True
        assert go.ask("consistency", at=old, old=before, path=both, **asked) is True
        assert auditors.prove_consistency(lambda *tile: tiles[tile], old, size) == both
        assert auditors.root_at(lambda *tile: tiles[tile], size) == root


def test_a_changed_byte_of_a_proof_is_rejected_everywhere(tiles, go):
    chance = random.Random(4)
    for _ in range(60):
        size = chance.randint(3, 3_000)
        index, old = chance.randrange(size), chance.randint(1, size - 1)
        root, before = merkle.hash_of(tiles, 0, size), merkle.hash_of(tiles, 0, old)
        path, both = (list(map(bytearray, each)) for each in proofs(tiles, index, old, size))
        for proof in (path, both):
            chance.choice(proof)[chance.randrange(32)] ^= 1 << chance.randrange(8)
        path, both = ([bytes(each) for each in proof] for proof in (path, both))
        assert auditors.root_from_inclusion(HASHES[index], index, size, path) != root
        assert go.ask("inclusion", index=index, leaf=LEAVES[index], path=path, size=size, root=root) is None
        assert not merkle.is_consistent(old, size, before, root, both)
        assert auditors.roots_from_consistency(old, size, before, both) != (before, root)
        assert go.ask("consistency", at=old, old=before, path=both, size=size, root=root) is None


@pytest.mark.parametrize(("cut", "more"), [(1, []), (0, [b"\0" * 32]), (0, [b"\0" * 32] * 60)])
def test_a_proof_of_another_length_is_rejected(tiles, cut, more):
    path, both = proofs(tiles, 77, 100, 300)
    root, before = merkle.hash_of(tiles, 0, 300), merkle.hash_of(tiles, 0, 100)
    path, both = path[cut:] + more, both[cut:] + more
    assert auditors.root_from_inclusion(HASHES[77], 77, 300, path) != root
    assert not merkle.is_consistent(100, 300, before, root, both)
    assert auditors.roots_from_consistency(100, 300, before, both) != (before, root)


@pytest.mark.parametrize(
    "path", ["0/0", "0/1000", "0/000.p/0", "0/000.p/256", "0/000.p/01", "64/000", "x/000", "0/x000/000", "0/../000", ""]
)
def test_an_address_that_is_no_tiles_is_known(path):
    assert merkle.tile_named(path) is None


def test_addresses_of_tiles_are_those_of_the_specification():
    assert merkle.tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    for index in (0, 999, 1_000, 1_234_067):
        for width in (1, 255, 256):
            path = merkle.tile_path("entries", index, width)
            assert merkle.tile_named(path.removeprefix("tile/")) == ("entries", index, width)
            from hub_audit.folder import path_of

            assert path_of("entries", index, width) == path


def test_bundles_are_read_as_they_were_written():
    leaves = [b"", b"a", b"b" * 65_535]
    assert merkle.unbundled(merkle.bundle(leaves)) == leaves
    with pytest.raises(ValueError):
        merkle.unbundled(merkle.bundle(leaves)[:-1])
