"""A log that was made up by whoever holds its key, of a few events: what the auditor's program says of it, and of heads
that nobody has signed.
"""

import contextlib
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hub_audit.__main__ import main as hub_audit

from hub.audit import notes
from hub.audit.merkle import Edge, bundle, leaf_hash, tile_path
from tests.sealed import audit

ORIGIN = "forged.example/log"
LOG, OTHER = (notes.Signer(ORIGIN, notes.LOG, bytes([n] * 32)) for n in (1, 2))
WITNESS = notes.Signer("tj.example/w", notes.WITNESS, bytes([3] * 32))
AT = "2026-11-01T10:00:00.000000Z"


SALT = "A" * 22


def leaf(position, at=AT, type="RoundOpened", actor="hub", tags="call_1", data=f'{{"salt":"{SALT}","call":"call_1"}}'):
    return f"hub-event/v1\n{position}\n{type}\n{at}\n{actor}\nrequest_1\n{tags}\n{data}".encode(
        "utf-8", "surrogateescape"
    )


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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"data": "hello"}, "no JSON"),
        ({"data": "[]"}, "no salt"),
        ({"data": '{"call":"call_1"}'}, "no salt"),
        ({"data": '{"salt":"short","call":"call_1"}'}, "no salt"),
        ({"data": f'{{"salt":"{SALT}","call":"\udcff"}}'}, "no JSON"),
        ({"data": "[" * 50_000}, "no JSON"),
        ({"tags": "z a"}, "tags are not sorted"),
        ({"tags": "a a"}, "tags are not sorted"),
        ({"tags": "a  b"}, "tags are not sorted"),
        ({"type": ""}, "its type is none"),
        ({"type": "\x1b[2K"}, "its type is none"),
        ({"actor": "\x1b[2K"}, "its actor"),
        ({"actor": ""}, "its actor"),
    ],
)
def test_what_has_not_the_form_of_an_event_is_none(folder, wrong, said):
    made(folder, [leaf(1), leaf(2, **wrong)])
    code, found = audit("fsck", folder)
    assert code == 1 and "sealed at position 2 is no event" in found["message"] and said in found["message"], found


NOW = 1_790_000_000


def at(seconds):
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_event_that_is_put_in_under_an_earlier_date_is_found_however_quiet_the_log_was(folder, policy):
    """Whoever kept a checkpoint knows when the log ended where: a deadline of the weekend is not met on Monday."""
    kept = made(folder, [leaf(1, at(-900_000)), leaf(2, at(-800_000))], witnessed=NOW)
    folder.joinpath("seen").mkdir()
    folder.joinpath("seen/2").write_bytes(kept)
    old = folder.parent / "kept"
    old.write_bytes(kept)
    third = [leaf(1, at(-900_000)), leaf(2, at(-800_000))]
    asked = ("checkpoint", folder, "--policy", policy), ("consistency", folder, "--since", old, "--policy", policy)
    for when, code in ((60, 0), (-300, 0), (-599, 0), (-601, 3), (-86_399, 3), (-86_400, 1), (-200_000, 1)):
        made(folder, [*third, leaf(3, at(when))], witnessed=NOW + 100)
        for words in asked:
            found = audit(*words)
            assert found[0] == code, (when, found)
            assert not code or ("a log of 2 events" in found[1]["message"] and "put in" in found[1]["message"])
            if code == 1:
                assert {"head", "checkpoint", "leaf"} <= {*json.loads(Path(found[1]["evidence"]).read_text())}
    # Heads that no quorum, or another log, has signed accuse nobody.
    folder.joinpath("seen/2").write_bytes(made(folder, third[:2]))
    made(folder, [*third, leaf(3, at(-7_000))], witnessed=NOW + 100)
    assert audit(*asked[0])[0] == 0


def test_a_date_that_asks_hides_none_that_accuses(folder, policy):
    """A clock that was a quarter of an hour off excuses nothing else that was put in."""
    folder.joinpath("seen").mkdir()
    events = [leaf(1, at(-900_000)), leaf(2, at(-800_000)), leaf(3, at(-700)), leaf(4, at(-199_000))]
    for size, when in ((2, NOW), (3, NOW + 50)):
        folder.joinpath("seen", str(size)).write_bytes(made(folder, events[:size], witnessed=when))
    made(folder, events, witnessed=NOW + 100)
    for gone, expected in ((None, 1), (2, 1), (3, 3)):
        if gone:
            kept = folder.joinpath("seen", str(gone))
            kept, text = kept.rename(folder / "aside"), kept
        code, found = audit("checkpoint", folder, "--policy", policy)
        assert code == expected, (gone, found)
        if gone:
            kept.rename(text)


def test_what_is_missing_for_one_head_hides_nothing_that_another_proves(folder, policy):
    """A hub that keeps a bundle back takes nothing away from what is here."""
    folder.joinpath("seen").mkdir()
    early = [leaf(n, at(-900_000 + n)) for n in range(1, 290)]
    events = [*early, leaf(290, at(-200_000))]
    for size, when in ((100, NOW - 1_000_000), (289, NOW)):
        folder.joinpath("seen", str(size)).write_bytes(made(folder, events[:size], witnessed=when))
    made(folder, events, witnessed=NOW + 100)
    _written(folder / tile_path("entries", 0, 256), bundle(events[:256]))
    _written(folder / tile_path("entries", 1, 34), bundle(events[256:]))
    for name in ("000.p/100", "000.p/289", "000.p/290"):
        (folder / "tile/entries" / name).unlink(missing_ok=True)
    assert audit("checkpoint", folder, "--policy", policy)[0] == 1
    (folder / tile_path("entries", 0, 256)).unlink()
    assert audit("checkpoint", folder, "--policy", policy)[0] == 1
    folder.joinpath("seen/289").unlink()
    code, found = audit("checkpoint", folder, "--policy", policy)
    assert code == 3 and "missing" in found["message"]


def test_a_head_that_was_kept_elsewhere_is_compared_too(folder, policy):
    old = folder.parent / "kept"
    old.write_bytes(made(folder, [leaf(1, at(-900_000)), leaf(2, at(-800_000))], witnessed=NOW))
    made(folder, [leaf(1, at(-900_000)), leaf(2, at(-800_000)), leaf(3, at(-200_000))], witnessed=NOW + 100)
    assert audit("checkpoint", folder, "--policy", policy)[0] == 0
    assert audit("consistency", folder, "--since", old, "--policy", policy)[0] == 1


def test_without_events_no_dates_are_compared_and_with_some_missing_nothing_is_said_to_hold(folder, policy):
    folder.joinpath("seen").mkdir()
    events = [leaf(1, at(-900_000)), leaf(2, at(-800_000)), leaf(3, at(-200_000))]
    folder.joinpath("seen/2").write_bytes(made(folder, events[:2], witnessed=NOW))
    made(folder, events, witnessed=NOW + 100)
    bundle = folder / "tile/entries/000.p/3"
    held = bundle.read_bytes()
    bundle.unlink()
    # That of the two events before is still here.
    assert folder.joinpath("tile/entries/000.p/2").is_file()
    assert audit("checkpoint", folder, "--policy", policy)[0] == 3
    folder.joinpath("tile/entries/000.p/2").unlink()
    code, found = audit("checkpoint", folder, "--policy", policy)
    assert code == 0 and found["dated"] is None
    bundle.write_bytes(held)
    assert audit("checkpoint", folder, "--policy", policy)[0] == 1


def test_an_event_that_is_dated_after_it_was_cosigned_is_found(folder, policy):
    for when, code in ((300, 0), (599, 0), (601, 3), (86_400, 1), (86_400 * 365, 1)):
        made(folder, [leaf(1, at(-9_000)), leaf(2, at(when))], witnessed=NOW)
        found = audit("checkpoint", folder, "--policy", policy)
        assert found[0] == code, (when, found)
    assert "had cosigned event 2 by" in found[1]["message"]


def test_what_a_hub_writes_commands_no_terminal(folder):
    made(folder, [leaf(1, "\x1b[2K\x1b[1Gall right\x1b[8m")])
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = hub_audit(["fsck", str(folder)])
    said = said.getvalue()
    assert code == 1 and "\x1b" not in said and "\\x1b[2K" in said and "that is no time" in said


def test_evidence_is_written_whatever_stands_in_it(folder):
    made(folder, [leaf(1, "\udcff\x00" * 9)])
    code, found = audit("fsck", folder)
    assert code == 1 and json.loads(Path(found["evidence"]).read_text())["accusation"] in found["message"]


@pytest.mark.parametrize("name", ["entries/000.p/2", "0/000.p/2"])
def test_what_is_appended_to_a_file_is_no_part_of_it(folder, name):
    made(folder, [leaf(1), leaf(2)])
    file = folder / "tile" / name
    file.write_bytes(file.read_bytes() + bytes(380))
    code, found = audit("fsck", folder)
    assert code == 3 and "more than belongs there" in found["message"]


def test_whoever_reads_no_further_accuses_nobody(folder):
    made(folder, [leaf(1, "never")])
    command = f"{sys.executable} -m hub_audit fsck {folder} --json"
    ended = subprocess.run(["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert ended.stdout.strip() in ("141", "1") and not {"Traceback", "ignored"} & {*ended.stderr.split()}


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


def test_what_a_proof_says_of_an_event_is_read_as_json_on_one_line(folder, policy, capsys):
    data = f'{{\n"salt":\t"{SALT}",\r\n"call": "\u202e\u0085call_1"}}'
    made(folder, [leaf(1, data=data)], witnessed=int(time.time()))
    proof = folder / "event.tlog-proof"
    proof.write_bytes(notes.tlog_proof(leaf(1, data=data), 0, [], (folder / "checkpoint").read_bytes()))
    assert hub_audit(["proof", str(proof), "--policy", str(policy)]) == 0
    words, said = capsys.readouterr().out.splitlines()
    assert "Event 1" in words and json.loads(said) == json.loads(data) and said.isprintable()


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
