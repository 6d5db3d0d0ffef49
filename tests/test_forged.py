"""A log that was made up by whoever holds its key, of a few events: what the auditor's program says of it, and of heads
that nobody has signed.
"""

import time

import pytest

from hub.audit import notes
from hub.audit.merkle import Edge, bundle, leaf_hash, tile_path
from tests.sealed import audit

ORIGIN = "forged.example/log"
LOG, OTHER = (notes.Signer(ORIGIN, notes.LOG, bytes([n] * 32)) for n in (1, 2))
WITNESS = notes.Signer("tj.example/w", notes.WITNESS, bytes([3] * 32))
AT = "2026-11-01T10:00:00.000000Z"


def leaf(position, at=AT):
    return f'hub-event/v1\n{position}\nRoundOpened\n{at}\nhub\nrequest_1\ncall_1\n{{"call":"call_1"}}'.encode()


def made(folder, leaves, signer=LOG, witnessed=None):
    """A folder as ``hub-audit fetch`` leaves it, of a log with these leaves."""
    edge = Edge()
    tiles = edge.grow([leaf_hash(each) for each in leaves])
    for (level, index), hashes in tiles.items():
        _written(folder / tile_path(level, index, len(hashes) // 32), hashes)
    _written(folder / tile_path("entries", 0, len(leaves)), bundle(leaves))
    head = notes.Head(ORIGIN, edge.size, edge.root)
    signatures = (signer.sign(head.text), *([WITNESS.sign(head.text, witnessed)] if witnessed else []))
    note = notes.Checkpoint(head, head.text, signatures).note
    (folder / "checkpoint").write_bytes(note)
    return note


def _written(file, data):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


@pytest.fixture
def policy(tmp_path):
    """What an auditor has pinned: the log's key, and one witness."""
    file = tmp_path / "policy"
    file.write_text(
        f"log {LOG.verifier.vkey} https://{ORIGIN}\nwitness tj {WITNESS.verifier.vkey}\nquorum tj\n", encoding="utf-8"
    )
    return file


@pytest.fixture
def folder(tmp_path):
    """Where the log is copied to."""
    (made_ := tmp_path / "log").mkdir()
    return made_


def test_a_log_that_is_as_it_should_be(folder, policy):
    made(folder, [leaf(1), leaf(2)], witnessed=int(time.time()))
    assert audit("fsck", folder)[0] == audit("checkpoint", folder, "--policy", policy, "--max-age", "1h")[0] == 0


@pytest.mark.parametrize("at", ["not a time", "2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000000+00:00", "zzzz"])
def test_a_date_that_is_none_is_no_date(folder, at):
    made(folder, [leaf(1, "2026-10-01T10:00:00.000000Z"), leaf(2, at)])
    code, found = audit("fsck", folder)
    assert code == 1 and f"position 2 is dated “{at}”: that is no time" in found["message"], found


def test_an_event_that_says_another_number_is_at_no_position(folder, policy):
    made(folder, [leaf(1), leaf(3)], witnessed=int(time.time()))
    code, found = audit("fsck", folder)
    assert code == 1 and "sealed at position 2 is not the event of this position" in found["message"]
    note = (folder / "checkpoint").read_bytes()
    proof = folder / "event.tlog-proof"
    proof.write_bytes(notes.tlog_proof(leaf(3), 1, [leaf_hash(leaf(1))], note))
    code, found = audit("proof", proof, "--policy", policy)
    assert code == 1 and "says that it is number 3, and is sealed at 2" in found["message"]


def test_nobody_is_accused_over_heads_that_the_log_has_not_signed(folder, policy, tmp_path):
    """Anybody can write two heads that contradict each other."""
    made(folder, [leaf(1), leaf(2)])
    (other := tmp_path / "other").mkdir()
    for signer, code in ((OTHER, 3), (LOG, 1)):
        made(other, [leaf(1, "2026-11-01T11:00:00.000000Z"), leaf(2, "2026-11-01T12:00:00.000000Z")], signer)
        asked = ("consistency", folder, "--since", other / "checkpoint"), ("compare", folder, other)
        for words in asked:
            found = audit(*words, "--policy", policy)
            assert found[0] == code, (signer is LOG, found)


def test_witnesses_whose_clocks_are_ahead_say_nothing_of_how_fresh_it_is(folder, policy):
    made(folder, [leaf(1)], witnessed=int(time.time()) + 86_400)
    assert audit("checkpoint", folder, "--policy", policy)[0] == 0
    code, found = audit("checkpoint", folder, "--policy", policy, "--max-age", "1h")
    assert code == 3 and "clocks of its witnesses are ahead" in found["message"]
    policy.write_text(f"log {LOG.verifier.vkey} https://{ORIGIN}\nquorum none\n", encoding="utf-8")
    code, found = audit("checkpoint", folder, "--policy", policy, "--max-age", "1h")
    assert code == 3 and "asks for no witness" in found["message"]
