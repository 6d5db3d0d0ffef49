"""Keys, checkpoints, cosignatures and policies: read alike by the hub, by the auditor's program and by Go."""

import random
import stat

import pytest
import rfc8785
from hub_audit import canonical, outcome
from hub_audit import notes as auditors
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.audit import digests, notes
from hub.audit.policy import Policy

ORIGIN = "hub.example/log"
LOG = notes.Signer(ORIGIN, notes.LOG, bytes(range(32)))
WITNESSES = [notes.Signer(f"{c}.example/w", notes.WITNESS, bytes([n] * 32)) for n, c in enumerate(("tj", "kg", "kz"))]
HEAD = notes.Head(ORIGIN, 20_852_163, bytes(32))
POLICY = "\n".join(
    [
        f"log {LOG.verifier.vkey} https://{ORIGIN}",
        *(f"witness {w.name[:2]} {w.verifier.vkey}" for w in WITNESSES),
        "group some 2 tj kg kz",
        "quorum some",
    ]
)


def signed(*witnesses, at=1_700_000_000, log=LOG):
    signatures = (log.sign(HEAD.text), *(each.sign(HEAD.text, at) for each in witnesses))
    return notes.Checkpoint(HEAD, HEAD.text, signatures).note


def test_a_cosigned_checkpoint_is_read_alike_by_all_three(go):
    note = signed(*WITNESSES[:2])
    ours, theirs = notes.Checkpoint.parse(note), auditors.Checkpoint(note, "it")
    assert ours.head == HEAD and ours.note == note
    assert (theirs.origin, theirs.size, theirs.root) == (HEAD.origin, HEAD.size, HEAD.root)
    policy, pinned = Policy.parse(POLICY), auditors.Policy(POLICY, "it")
    assert policy.logged(ours) and pinned.log_of(theirs) is not None
    times = {"tj": 1_700_000_000, "kg": 1_700_000_000}
    assert policy.cosigned(ours) == pinned.cosigned(theirs) == times
    assert policy.witnessed(times) and pinned.reached(times)
    assert not policy.witnessed({"tj"}) and not pinned.reached({"tj"})
    keys = [each.verifier.vkey for each in (LOG, *WITNESSES)]
    assert go.ask("checkpoint", note=note.decode(), keys=keys) == [ORIGIN, "tj.example/w", "kg.example/w"]


def accepted(note):
    """Whether the two of ours hold the note for signed by log and quorum."""
    try:
        ours = notes.Checkpoint.parse(note)
        policy = Policy.parse(POLICY)
        one = policy.logged(ours) is not None and policy.witnessed(policy.cosigned(ours))
    except notes.Malformed:
        one = False
    try:
        theirs, pinned = auditors.Checkpoint(note, "it"), auditors.Policy(POLICY, "it")
        other = pinned.log_of(theirs) is not None and pinned.reached(pinned.cosigned(theirs))
    except outcome.Failed:
        other = False
    return one, other


def test_every_byte_of_a_checkpoint_counts(go):
    note = signed(*WITNESSES[:2])
    keys = [each.verifier.vkey for each in (LOG, *WITNESSES[:2])]
    assert accepted(note) == (True, True)
    chance = random.Random(1)
    for at in range(len(note)):
        changed = bytearray(note)
        changed[at] ^= 1 << chance.randrange(7)
        found = go.ask("checkpoint", note=changed.decode(errors="replace"), keys=keys)
        assert accepted(bytes(changed)) == (False, False), changed
        assert found is None or len(found) < 3, changed


def test_a_witness_that_is_not_the_logs_own_voice_is_not_mistaken_for_it():
    # A cosignature over the same text is no signature of the log, and the other way round.
    twin = notes.Signer(ORIGIN, notes.WITNESS, LOG.secret)
    note = notes.Checkpoint(HEAD, HEAD.text, (twin.sign(HEAD.text, 1),)).note
    assert accepted(note) == (False, False)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        b"a\n1\n\n\xe2\x80\x94 a AAAAAAAA\n",
        signed().replace(b"20852163", b"020852163"),
        signed().replace(b"20852163", b"-1"),
        signed().replace(b"\n\n", b"\n"),
        signed()[:-1],
        signed() + b"x\n",
        signed().replace(b"hub.example/log\n", b"hub.example/log\r\n"),
        b"\xff" + signed(),
        signed().replace(b"AAAA", b"AAA", 1),
    ],
)
def test_what_is_no_checkpoint_says_so(note):
    with pytest.raises(notes.Malformed):
        notes.Checkpoint.parse(note)
    with pytest.raises(outcome.Unusable):
        auditors.Checkpoint(note, "it")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum nobody",
        "quorum none\nquorum none",
        f"log {WITNESSES[0].verifier.vkey}\nquorum none",
        f"witness tj {LOG.verifier.vkey}\nquorum tj",
        f"{POLICY}\nwitness tj {notes.Signer('x', 4, bytes(32)).verifier.vkey}",
        POLICY.replace("some 2 tj", "some 4 tj"),
        POLICY.replace("some 2 tj", "some 0 tj"),
        POLICY.replace("2 tj kg kz", "2 tj tj kz"),
        POLICY.replace("quorum some", "group more 1 tj\nquorum some"),
        POLICY.replace(LOG.verifier.id.hex(), "00000000"),
        "allow everything",
    ],
)
def test_a_policy_that_is_not_understood_says_so(text):
    with pytest.raises(notes.Malformed):
        Policy.parse(text)
    with pytest.raises(outcome.Unusable):
        auditors.Policy(text, "it")


def test_groups_of_groups_are_counted_alike():
    text = POLICY.replace(
        "group some 2 tj kg kz\nquorum some", "group two all tj kg\ngroup any1 any two kz\nquorum any1\n# a comment\n"
    )
    for names in ({"tj"}, {"tj", "kg"}, {"kz"}, set()):
        expected = names >= {"tj", "kg"} or "kz" in names
        assert Policy.parse(text).witnessed(names) == expected
        assert auditors.Policy(text, "it").reached(names) == expected


def test_a_key_is_made_once_and_kept_from_others(tmp_path):
    made = notes.Signer.kept(tmp_path / "log.key", ORIGIN, notes.LOG)
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
    assert notes.Signer.kept(tmp_path / "log.key", "another", notes.LOG) == made
    assert [each.name for each in tmp_path.iterdir()] == ["log.key"]
    (tmp_path / "log.key").chmod(0o644)
    with pytest.raises(notes.Malformed, match="chmod 600"):
        notes.Signer.read(tmp_path / "log.key")
    assert made.secret.hex() not in repr(made)


doubles = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | doubles,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(values)
def test_canonical_json_is_that_of_another_implementation(value):
    assert canonical.canonical(value).encode() == rfc8785.dumps(value)


@settings(max_examples=400, deadline=None)
@given(doubles)
def test_the_hub_writes_numbers_as_the_auditor_does(value):
    assert bytes(digests.number(value)).decode() == canonical.number(value)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "name", "risk", "since"]), st.text() | st.lists(st.text() | st.booleans()))
)
def test_the_hub_writes_rows_as_the_auditor_does(value):
    assert digests.encoded(value).decode() == canonical.canonical(value)
