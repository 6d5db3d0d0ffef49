"""The auditor's program over a sealed log: what it proves, what it rejects, and the exit codes that say which."""

import base64
import json
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from hub_audit import checks
from hub_audit.__main__ import main as hub_audit
from hub_audit.folder import Folder

from domain.proposals.partners import UninvitePartner
from hub.audit import notes
from hub.audit.copy import Copy
from hub.audit.merkle import (
    Edge,
    bundle,
    hash_of,
    inclusion_ranges,
    leaf_hash,
    tile_named,
    tile_path,
    tiles_of,
    unbundled,
)
from hub.audit.policy import Policy
from hub.door import Hub
from tests.sealed import MODELS, SEALED, as_root, audit, until_sealed
from tests.test_log import told
from tests.web import hub


def evidence_in(folder):
    return [path.name for path in folder.glob("evidence/*.json")]


def tiles_for(copy, size, ranges):
    """The tiles of a copied tree of this size that prove these ranges."""
    return {(level, n): copy.tile(level, n, min(256, (size >> 8 * level) - n * 256)) for level, n in tiles_of(ranges)}


def test_a_sealed_log_is_verified_whole(sealed_once):
    kept = sealed_once.fetched / "checkpoint"
    for words in (
        ("checkpoint", sealed_once.fetched, "--policy", sealed_once.policy, "--max-age", "1h"),
        ("fsck", sealed_once.fetched),
        ("consistency", sealed_once.fetched, "--since", kept, "--policy", sealed_once.policy),
        ("replay", sealed_once.fetched),
        ("compare", sealed_once.fetched, sealed_once.fetched, "--policy", sealed_once.policy),
        ("report", sealed_once.fetched, "--policy", sealed_once.policy, "--since", kept),
    ):
        code, found = audit(*words)
        assert code == 0, found
    assert not evidence_in(sealed_once.fetched)


def test_go_computes_the_same_root_from_the_same_entries(sealed_once, go):
    folder = sealed_once.fetched
    bundles = [
        (folder / "tile/entries/000").read_bytes(),
        *(p.read_bytes() for p in folder.glob("tile/entries/001.p/*")),
    ]
    checkpoint = notes.Checkpoint.parse((folder / "checkpoint").read_bytes())
    assert base64.b64decode(go.ask("root", bundles=bundles)) == checkpoint.head.root
    policy = Policy.parse(sealed_once.policy.read_text())
    keys = [each.vkey for each in (*policy.logs.values(), *policy.witnesses.values())]
    assert len(go.ask("checkpoint", note=checkpoint.note.decode(), keys=keys)) >= 5


def test_every_changed_byte_of_a_leaf_is_found(fetched, go):
    """Every byte of one event; and of other events, one byte each."""
    bundle = fetched / "tile/entries/000"
    whole = bundle.read_bytes()
    root = notes.Checkpoint.parse((fetched / "checkpoint").read_bytes()).head.root
    length = 2 + int.from_bytes(whole[:2], "big")
    chance = random.Random(1)
    rest = next(fetched.glob("tile/entries/001.p/*")).read_bytes()
    for at in [*range(2, length), *chance.sample(range(length, len(whole)), 40)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        bundle.write_bytes(changed)
        code, found = audit("fsck", fetched)
        assert code == 1, (at, found)
        theirs = go.ask("root", bundles=[bytes(changed), rest])
        assert theirs is None or base64.b64decode(theirs) != root
    assert evidence_in(fetched)


def test_the_changed_event_is_named_with_its_position(fetched):
    bundle = fetched / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"Umarov", b"Umarof", 1))
    code, found = audit("fsck", fetched)
    assert code == 1 and "position 1 is not the one that was sealed" in found["message"]
    evidence = json.loads(Path(found["evidence"]).read_text())
    assert b"Umarof" in base64.b64decode(evidence["event"]) and "checkpoint" in evidence


def test_every_tile_counts(fetched):
    for tile in sorted(fetched.glob("tile/[01]/**/*")):
        if tile.is_dir():
            continue
        whole = tile.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        tile.write_bytes(changed)
        code, found = audit("fsck", fetched)
        assert code == 1 and "tile" in found["message"], found
        tile.write_bytes(whole)
    assert audit("fsck", fetched)[0] == 0


@pytest.mark.parametrize("name", ["tile/0/000", f"tile/0/001.p/{SEALED - 256}", "tile/1/000.p/1", "tile/entries/000"])
@pytest.mark.parametrize("length", [0, 10, 100])
def test_what_is_cut_short_is_fetched_again_and_nobody_is_accused(fetched, sealed_once, name, length):
    file = fetched / name
    whole = file.read_bytes()
    file.write_bytes(whole[:length])
    # A tile of one hash is not cut by what is longer than it.
    if len(whole) > length:
        code, found = audit("fsck", fetched)
        assert code == 3 and "fetch the log again" in found["message"], found
        for words in (("compare", fetched, fetched), ("consistency", fetched, "--since", fetched / "checkpoint")):
            assert audit(*words, "--policy", sealed_once.policy)[0] in (0, 3)
        assert not Folder(fetched).is_whole(*_named(name))
    assert not evidence_in(fetched)


def _named(name):
    level, index, width = tile_named(name.removeprefix("tile/"))
    return level if level == "entries" else int(level), index, width


def test_without_a_policy_nobody_is_accused_and_nothing_verified(fetched, tmp_path):
    forged = shutil.copytree(fetched, tmp_path / "forged")
    note = (forged / "checkpoint").read_text()
    (forged / "checkpoint").write_text(note.split("\n\n")[0] + "\n\n— x AAAAAAAA\n")
    for words in (
        ("consistency", fetched, "--since", fetched / "checkpoint"),
        ("compare", fetched, forged),
        ("checkpoint", forged),
    ):
        code, found = audit(*words)
        assert code == 3 and "--policy" in found["message"]
    assert not evidence_in(fetched)


def test_the_pinned_policy_may_stand_in_the_environment(fetched, sealed_once, monkeypatch):
    monkeypatch.setenv("HUB_AUDIT_POLICY", str(sealed_once.policy))
    for words in (
        ("checkpoint", fetched),
        ("consistency", fetched, "--since", fetched / "checkpoint"),
        ("compare", fetched, sealed_once.fetched),
    ):
        assert audit(*words)[0] == 0
    monkeypatch.setenv("HUB_AUDIT_POLICY", str(fetched / "nowhere"))
    assert audit("checkpoint", fetched)[0] == 2


def test_copies_whose_events_differ_do_not_agree(fetched, sealed_once):
    bundle = fetched / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"Umarov", b"Umarof", 1))
    code, found = audit("compare", fetched, sealed_once.fetched, "--policy", sealed_once.policy)
    assert code == 1 and "position 1 do not" in found["message"]


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x0b", "\x0c", "\r"])
def test_a_policy_has_no_lines_that_only_some_readers_see(fetched, sealed_once, tmp_path, end):
    hidden = tmp_path / "policy"
    text = sealed_once.policy.read_text().replace(
        "quorum countries", f"# the quorum is that of the five{end}quorum none"
    )
    hidden.write_bytes(text.encode())
    code, found = audit("checkpoint", fetched, "--policy", hidden)
    assert code == 2, found
    with pytest.raises(notes.Malformed):
        Policy.parse(text)


def test_what_partners_may_read_no_more_is_replayed_as_the_hub_folds_it(sealed, tmp_path):
    """Whose invitation was taken back reads nothing of what happened before, in the read models of both."""

    async def taken_back():
        opened = await Hub.open(sealed.dsn)
        schema = opened.models.schema
        proposal, partner, author = await opened.log.pool.fetchrow(
            f"""SELECT a.proposal, a.organization, p.investigator FROM {schema}.partner a
                JOIN {schema}.proposal p ON p.id = a.proposal AND p.status = 'draft' LIMIT 1"""
        )
        await opened.do(UninvitePartner(proposal=proposal, organization=partner), author)
        await opened.close()

    told(taken_back())
    assert hub(sealed.dsn, "seal")[0] == 0
    assert hub(sealed.dsn, "verify")[0] == 0
    with sealed.open() as url:
        until_sealed(url, SEALED + 1)
        assert sealed.fetch(url, tmp_path / "new")[0] == 0
    code, found = audit("replay", tmp_path / "new")
    assert code == 0, found


def test_what_fails_inside_accuses_nobody(fetched, monkeypatch, capsys):
    def fails(folder):
        raise MemoryError("planted")

    monkeypatch.setattr(checks, "fsck", fails)
    assert hub_audit(["fsck", str(fetched)]) == 3
    assert "nothing is decided" in capsys.readouterr().err


def test_what_is_missing_is_asked_for_and_nobody_is_accused(fetched):
    next(fetched.glob("tile/entries/001.p/*")).unlink()
    for words in (("fsck", fetched), ("replay", fetched)):
        code, found = audit(*words)
        assert code == 3 and "missing" in found["message"]
    (fetched / "checkpoint").unlink()
    assert audit("fsck", fetched)[0] == 3
    assert not evidence_in(fetched)


@pytest.mark.parametrize(
    "words",
    [
        ("fsck",),
        ("checkpoint", "{}", "--policy", "/nowhere"),
        ("checkpoint", "{}", "--policy", "{}/checkpoint"),
        ("consistency", "{}", "--since", "{}/tile/0/000"),
        ("proof", "{}/checkpoint"),
        ("fetch", "ftp://hub.example/log", "{}"),
        ("replay", "{}", "--at", "0"),
        ("nonsense", "{}"),
    ],
)
def test_wrong_usage_is_exit_code_2(fetched, words):
    given = [word.replace("{}", str(fetched)) for word in words]
    done = subprocess.run([sys.executable, "-m", "hub_audit", *given], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr and "Traceback" not in done.stderr


def test_a_quorum_that_is_short_is_not_decided(fetched, sealed_once, tmp_path):
    policy = Policy.parse(sealed_once.policy.read_text())
    checkpoint = notes.Checkpoint.parse((fetched / "checkpoint").read_bytes())
    known = {each.id for each in list(policy.witnesses.values())[:3]} | {each.id for each in policy.logs.values()}
    fewer = notes.Checkpoint(
        checkpoint.head, checkpoint.text, tuple(each for each in checkpoint.signatures if each.id in known)
    )
    (fetched / "checkpoint").write_bytes(fewer.note)
    code, found = audit("checkpoint", fetched, "--policy", sealed_once.policy)
    assert code == 3 and "3 of 5" in found["message"]


def test_an_old_checkpoint_is_stale(fetched, sealed_once, monkeypatch):
    words = ("checkpoint", fetched, "--policy", sealed_once.policy, "--max-age")
    assert audit(*words, "1h")[0] == 0
    now = time.time()
    monkeypatch.setattr(checks.time, "time", lambda: now + 7_200)
    code, found = audit(*words, "1h")
    assert code == 4 and "hours ago" in found["message"]
    assert audit(*words, "3h")[0] == 0


def test_an_altered_signature_is_rejected_and_accuses_nobody(fetched, sealed_once):
    note = (fetched / "checkpoint").read_bytes().decode()
    line = next(line for line in note.split("\n") if line.startswith("— tj."))
    name, signature = line.split(" ")[1:]
    data = bytearray(base64.b64decode(signature))
    data[-1] ^= 1
    forged = note.replace(line, f"— {name} {base64.b64encode(data).decode()}")
    (fetched / "checkpoint").write_text(forged)
    code, found = audit("checkpoint", fetched, "--policy", sealed_once.policy)
    assert code == 2 and "tj.witness" in found["message"] and not evidence_in(fetched)


def test_a_proof_holds_and_every_byte_of_it_counts(sealed_once, tmp_path, go):
    folder, file = sealed_once.fetched, tmp_path / "event-7.tlog-proof"

    copy, position = Copy(folder), 7
    checkpoint = copy.checkpoint()
    policy = Policy.parse(sealed_once.policy.read_text())
    # As few signatures as the quorum asks for: then each of them counts.
    needed = [*policy.logs.values(), *list(policy.witnesses.values())[:4]]
    kept = tuple(each for each in checkpoint.signatures if each.id in {key.id for key in needed})
    note = notes.Checkpoint(checkpoint.head, checkpoint.text, kept).note
    leaf, size = next(copy.leaves(SEALED, position - 1))[0], checkpoint.head.size
    ranges = inclusion_ranges(position - 1, size)
    tiles = tiles_for(copy, size, ranges)
    path = [hash_of(tiles, *each) for each in ranges]
    proof = notes.tlog_proof(leaf, position - 1, path, note)
    file.write_bytes(proof)
    code, found = audit("proof", file, "--policy", sealed_once.policy)
    assert code == 0 and found["position"] == 7 and found["type"] == "OrganizationImported", found
    root = checkpoint.head.root
    assert go.ask("inclusion", index=position - 1, leaf=leaf, path=path, size=size, root=root) is True
    # Without a policy nobody's word was checked.
    assert audit("proof", file)[0] == 3
    keys = [each.vkey for each in needed]
    assert proven_by_go(go, proof, keys)
    chance = random.Random(1)
    for at in range(len(proof)):
        changed = bytearray(proof)
        changed[at] ^= 1 << chance.randrange(7)
        file.write_bytes(changed)
        code, found = audit("proof", file, "--policy", sealed_once.policy)
        assert code in (1, 2, 3), (at, found)
        assert not proven_by_go(go, bytes(changed), keys), at


def proven_by_go(go, proof, keys):
    """Whether Go finds the path right, and the signatures of all these keys; a file of another form is no proof."""
    before, _, note = proof.partition(b"\n\n")
    first, extra, index, *path = before.decode(errors="replace").split("\n")
    size, root = (note.decode(errors="replace").split("\n") + [""] * 3)[1:3]
    forms = (first == "c2sp.org/tlog-proof@v1", extra.startswith("extra "), index.startswith("index "))
    try:
        texts = [extra.removeprefix("extra "), *path]
        leaf, *path = (base64.b64decode(each, validate=True) for each in texts)
        forms += tuple(base64.b64encode(a).decode() == b for a, b in zip((leaf, *path), texts, strict=True))
        asked = {"index": int(index.removeprefix("index ")), "size": int(size), "root": base64.b64decode(root)}
    except ValueError:
        return False
    signed = go.ask("checkpoint", note=note.decode(errors="replace"), keys=keys)
    return all(forms) and go.ask("inclusion", leaf=leaf, path=path, **asked) is True and len(signed or ()) == len(keys)


def test_two_histories_that_one_key_has_signed_are_evidence(fetched, sealed_once, tmp_path):
    other = shutil.copytree(fetched, tmp_path / "other")
    signer = notes.Signer.read(sealed_once.home / "log.key")
    # A fork of the last bundle, signed by the log itself.
    partial = next(other.glob("tile/entries/001.p/*"))
    leaves = unbundled(partial.read_bytes())
    leaves[5] = re.sub(rb'"salt":"[^"]*"', b'"salt":"%b"' % (b"X" * 22), leaves[5])
    partial.write_bytes(bundle(leaves))
    edge = Edge()
    tiles = edge.grow([leaf_hash(each) for each in unbundled((other / "tile/entries/000").read_bytes())])
    tiles |= edge.grow([leaf_hash(each) for each in leaves])
    for (level, index), hashes in tiles.items():
        (other / tile_path(level, index, len(hashes) // 32)).write_bytes(hashes)
    head = notes.Head(signer.name, edge.size, edge.root)
    (other / "checkpoint").write_bytes(notes.Checkpoint(head, head.text, (signer.sign(head.text),)).note)
    assert audit("fsck", other)[0] == 0
    code, found = audit("compare", fetched, other, "--policy", sealed_once.policy)
    assert code == 1 and "part at position 262" in found["message"]
    evidence = json.loads(Path(found["evidence"]).read_text())
    policy = Policy.parse(sealed_once.policy.read_text())
    assert all(policy.logged(notes.Checkpoint.parse(evidence[each].encode())) for each in ("one", "other"))
    code, found = audit("consistency", other, "--since", fetched / "checkpoint", "--policy", sealed_once.policy)
    assert code == 1 and "rewritten" in found["message"]


def test_an_older_log_is_asked_for_what_it_holds_back(fetched, sealed_once, tmp_path):
    signer = notes.Signer.read(sealed_once.home / "log.key")
    from hub.audit.merkle import tiles_of

    copy = Copy(fetched)
    ranges = [(0, 280)]
    tiles = {
        (level, n): copy.tile(level, n, min(256, (SEALED >> 8 * level) - n * 256)) for level, n in tiles_of(ranges)
    }
    head = notes.Head(signer.name, 280, hash_of(tiles, 0, 280))
    kept = tmp_path / "kept"
    kept.write_bytes((fetched / "checkpoint").read_bytes())
    (fetched / "checkpoint").write_bytes(notes.Checkpoint(head, head.text, (signer.sign(head.text),)).note)
    code, found = audit("consistency", fetched, "--since", kept, "--policy", sealed_once.policy)
    assert code == 3 and f"{SEALED - 280} events that were sealed are held back" in found["message"]


def test_a_log_that_does_not_continue_what_is_here_replaces_nothing(sealed, tmp_path):
    folder = tmp_path / "kept"
    with sealed.open() as url:
        until_sealed(url, SEALED)
        assert sealed.fetch(url, folder)[0] == 0
    kept = (folder / "checkpoint").read_bytes()
    forget = [f"DELETE FROM hub.{each}" for each in ("cosignature", "head", "sealer")]
    as_root(sealed.dsn, "UPDATE hub.event SET actor = 'somebody' WHERE position = 10", *forget)
    (sealed.home / "log.head").unlink()
    assert hub(sealed.dsn, "rebuild", "--tree")[0] == 0 and hub(sealed.dsn, "rebuild")[0] == 0
    assert hub(sealed.dsn, "seal")[0] == 0
    with sealed.open() as url:
        deadline = time.monotonic() + 20
        while f"\n{SEALED + MODELS}\n" not in httpx2.get(f"{url}/log/checkpoint").text:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        code, found = sealed.fetch(url, folder)
        assert code == 3 and f"does not continue the {SEALED} events" in found["message"]
        assert (folder / "checkpoint").read_bytes() == kept and len(list((folder / "seen").iterdir())) == 2
        # Who has fetched before asks for it again, and sees what is shown to others now.
        code, found = audit("fetch", f"{url}/log", folder, "--token-file", sealed.token, "--again")
        assert code == 1 and "tile/0/000" in found["message"]
        assert (folder / "evidence/served/tile/entries/000").exists() and audit("fsck", folder)[0] == 0


def test_replay_needs_the_folds_of_the_seal(fetched, monkeypatch):
    from hub_audit import replay

    monkeypatch.setattr(replay, "code_of", lambda *packages: "0" * 64)
    code, found = audit("replay", fetched)
    assert code == 3 and "version" in found["message"]


def test_the_auditors_program_shares_no_code_with_the_hub():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, hub_audit.__main__; print(*sorted({m.partition('.')[0] for m in sys.modules}))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "hub_audit" in loaded
    assert not loaded & {"hub", "web", "domain", "projections", "msgspec", "asyncpg", "httpx2", "starlette"}
