"""Somebody with root on the database, against everybody who kept an earlier checkpoint. Each attack: who notices, and
with which command and exit code.
"""

import asyncio
import base64
import random
import re
import shutil
import time

import asyncpg
import pytest

from hub.audit import notes
from hub.audit.following import caught_up
from hub.audit.heads import LastHead
from hub.audit.policy import Policy
from hub.door import Hub
from tests.conftest import copied
from tests.sealed import MODELS, SEALED, TOLD, as_root, audit, until_sealed
from tests.test_log import told
from tests.web import home_of, hub

REWRITTEN = """UPDATE hub.event SET data = replace(data::text, 'Umarov', 'Umarof')::json WHERE position = 1"""
FORGET = ["DELETE FROM hub.cosignature", "DELETE FROM hub.head", "DELETE FROM hub.sealer"]
"""What somebody deletes who hopes that nobody else remembers."""


def refetched(region, url, folder):
    """What an auditor who comes for the first time copies now."""
    code, found = region.fetch(url, folder)
    assert code == 0, found
    return folder


def rebuilt(region):
    """Everything that follows from the events, made anew from them, by somebody whom no program holds up."""
    as_root(region.dsn, "DELETE FROM hub.tile", "UPDATE hub.tree SET size = 0, root = sha256('')")

    async def story():
        opened = await Hub.open(region.dsn)
        await opened.rebuild()
        await caught_up(opened)
        await opened.close()

    told(story())


def stopped(dsn, words, patience=30):
    """What ``hub doctor`` says once the sealer has stopped, for a reason in these words; its exit code is 1.

    Before, it may find something else to look at: that nobody has cosigned yet, say.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        code, out, _ = hub(dsn, "doctor")
        if code == 1 and re.search(words, out):
            return out
        time.sleep(0.4)
    raise AssertionError(out)


def test_an_event_is_rewritten_and_nothing_else(sealed, tmp_path):
    as_root(sealed.dsn, REWRITTEN)
    with sealed.open() as url:
        folder = refetched(sealed, url, tmp_path / "new")
        code, found = audit("fsck", folder)
        assert code == 1 and "position 1 is not the one that was sealed" in found["message"]
    # The tree is not made to fit: it is what says which event is another one.
    code, _, said = hub(sealed.dsn, "rebuild", "--tree")
    assert code == 1 and f"the first {SEALED} events do not lead to the root that was signed" in said
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and "event 1 is not the one that is in the tree" in out


def test_an_event_is_rewritten_and_all_that_depends_on_it(sealed, tmp_path):
    as_root(sealed.dsn, REWRITTEN)
    rebuilt(sealed)
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and f"the first {SEALED} events do not lead to the root that was signed" in out
    with sealed.open() as url:
        # The hub's own sealer remembers; so does what it has published.
        assert stopped(sealed.dsn, "the log was changed")
        assert audit("fsck", refetched(sealed, url, tmp_path / "new"))[0] == 1


def test_all_is_rewritten_and_what_the_hub_remembers_too(sealed, tmp_path):
    as_root(sealed.dsn, REWRITTEN, *FORGET)
    (sealed.home / "log.head").unlink()
    rebuilt(sealed)
    assert hub(sealed.dsn, "verify")[0] == 0  # the database agrees with itself
    with sealed.open() as url:
        # The witnesses remember, and no quorum is to be had without them.
        assert stopped(sealed.dsn, "have seen another history")
        # That stands until they think again: whoever looks once a minute is not told in between that all is well.
        for _ in range(12):
            code, out, _ = hub(sealed.dsn, "doctor")
            assert code == 1 and "have seen another history" in out
            time.sleep(0.2)
        folder = refetched(sealed, url, tmp_path / "new")
        assert audit("fsck", folder)[0] == 0
        code, found = audit("checkpoint", folder, "--policy", sealed.policy)
        assert code == 3 and "quorum" in found["message"]
        # And so does an auditor.
        kept = sealed.fetched / "checkpoint"
        code, found = audit("consistency", folder, "--since", kept, "--policy", sealed.policy)
        assert code == 1 and "rewritten" in found["message"]
        assert audit("compare", sealed.fetched, folder, "--policy", sealed.policy)[0] == 1


DROPPED = [
    f"DELETE FROM hub.event WHERE position > {SEALED - 100}",
    f"DELETE FROM hub.tag WHERE position > {SEALED - 100}",
]


def test_the_newest_hundred_are_dropped(sealed):
    as_root(sealed.dsn, *DROPPED)
    code, _, said = hub(sealed.dsn, "serve", "--demo", "--port", "18999")
    assert code == 1 and "hub restore" in said and f"{SEALED - 100}" in said


def test_what_was_signed_last_is_compared_with_all_that_remembers_it(sealed):
    head = "SELECT root FROM hub.head ORDER BY size DESC LIMIT 1"
    root = asyncio.run(_value(sealed.dsn, head))
    for damage, mend, said in (
        (f"UPDATE hub.head SET root = sha256('x') WHERE size = {SEALED}", f"'\\x{root.hex()}'", "lead to the root"),
        ("UPDATE hub.tile SET hashes = sha256('x') WHERE level = 1", None, "of level 1"),
    ):
        as_root(sealed.dsn, damage)
        code, out, _ = hub(sealed.dsn, "verify")
        assert code == 1 and said in out, out
        if mend:
            as_root(sealed.dsn, f"UPDATE hub.head SET root = {mend} WHERE size = {SEALED}")
    # What the folder of the hub remembers counts though the database has forgotten it.
    as_root(sealed.dsn, *DROPPED, *FORGET)
    for word in ("rebuild", "verify"):
        code, out, err = hub(sealed.dsn, word)
        said = " ".join(f"{out} {err}".split())
        assert code == 1 and f"the first {SEALED} events were signed, and the log ends at {SEALED - 100}" in said


def test_the_newest_hundred_are_dropped_and_the_hub_forgets(sealed, tmp_path):
    as_root(sealed.dsn, *DROPPED, *FORGET)
    (sealed.home / "log.head").unlink()
    rebuilt(sealed)
    with sealed.open() as url:
        assert stopped(sealed.dsn, f"have seen a head of {SEALED}")
        folder = refetched(sealed, url, tmp_path / "new")
        assert audit("checkpoint", folder, "--policy", sealed.policy)[0] == 3
        code, found = audit("consistency", folder, "--since", sealed.fetched / "checkpoint", "--policy", sealed.policy)
        assert code in (1, 3) and ("held back" in found["message"] or "rewritten" in found["message"])


@pytest.mark.parametrize(
    "attack",
    [
        # Two events change places.
        [
            "UPDATE hub.event SET position = -1 WHERE position = 100",
            "UPDATE hub.event SET position = 100 WHERE position = 101",
            "UPDATE hub.event SET position = 101 WHERE position = -1",
        ],
        # One is inserted in the past: all that came after moves on.
        [
            f"UPDATE hub.event SET position = -position - 1 WHERE position > 99 AND position <= {SEALED}",
            "UPDATE hub.event SET position = -position WHERE position < 0",
            "INSERT INTO hub.event SELECT 100, type, tags, actor, at, request, data FROM hub.event WHERE position = 99",
        ],
    ],
    ids=["swapped", "inserted"],
)
def test_the_order_is_changed(sealed, tmp_path, attack):
    as_root(sealed.dsn, *attack)
    # Also where nobody made anew what follows from the events.
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and re.search("event (99|100|101) (is not the one|is dated|mentions)", out), out
    rebuilt(sealed)
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and "The events are not as they were recorded" in out
    with sealed.open() as url:
        assert stopped(sealed.dsn, "the log was changed")
        code, found = audit("fsck", refetched(sealed, url, tmp_path / "new"))
        assert code == 1 and re.search("the root that was signed|is dated before", found["message"])


@pytest.mark.parametrize("attack", ["DELETE FROM hub.tag", "UPDATE hub.tag SET type = 'ProposalWithdrawn'"])
def test_an_event_is_hidden_from_decisions(sealed, attack):
    """What decisions read is found by tags: without them the same proposal could be decided twice."""
    as_root(sealed.dsn, f"{attack} WHERE position = 200")
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and "event 200 mentions" in out


BACKDATED = [
    f"""INSERT INTO hub.event SELECT {SEALED + 1}, type, tags, actor, '2026-01-01', request, data FROM hub.event
        WHERE type = 'RoundOpened' ORDER BY position LIMIT 1""",
    f"""INSERT INTO hub.tag SELECT unnest(string_to_array(tags, ' ')), position, type FROM hub.event
        WHERE position = {SEALED + 1}""",
]


def test_an_event_is_put_in_with_a_date_of_long_ago(sealed, tmp_path):
    as_root(sealed.dsn, *BACKDATED)
    rebuilt(sealed)
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and f"event {SEALED + 1} is dated before" in out
    with sealed.open() as url:
        until_sealed(url, SEALED + 1)
        code, found = audit("fsck", refetched(sealed, url, tmp_path / "new"))
        assert code == 1 and f"position {SEALED + 1} is dated before" in found["message"]


def test_an_event_is_put_in_while_nothing_else_happens(sealed, tmp_path):
    """After a quiet weekend, with the date of Friday: later than the last event, and earlier than its seal."""
    asked = (
        "SELECT to_char(max(at) AT TIME ZONE 'UTC' + interval '1 second', 'YYYY-MM-DD HH24:MI:SS+00') FROM hub.event"
    )
    friday = told(_value(sealed.dsn, asked))
    with sealed.open() as url:
        kept = refetched(sealed, url, tmp_path / "kept")
    # Cosigned once more on Sunday, as it is each ten minutes.
    later = "UPDATE hub.%s SET at = at + interval '2 days' WHERE size = (SELECT max(size) FROM hub.head)"
    backdated = (each.replace("2026-01-01", friday) for each in BACKDATED)
    as_root(sealed.dsn, *backdated, later % "head", later % "cosignature")
    rebuilt(sealed)
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and f"event {SEALED + 1} is dated long before the hub signed" in out
    assert audit("fsck", kept)[0] == 0


def test_what_makes_leaves_in_the_database_is_asked_by_nobody(sealed):
    """Whoever owns the database owns its functions: one that answers as events were says nothing of how they are."""
    as_root(
        sealed.dsn,
        "CREATE TABLE hub.shadow AS SELECT * FROM hub.event",
        """CREATE OR REPLACE FUNCTION hub.leaf(e hub.event) RETURNS bytea LANGUAGE sql STABLE RETURN (
            SELECT convert_to(concat_ws(E'\\n', 'hub-event/v1', s.position, s.type,
                to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), s.actor, s.request, s.tags,
                s.data::text), 'UTF8') FROM hub.shadow s WHERE s.position = e.position)""",
        REWRITTEN,
    )
    assert hub(sealed.dsn, "verify")[0] == 1
    assert hub(sealed.dsn, "rebuild")[0] == 1


def test_signatures_that_somebody_wrote_into_the_database_are_none(sealed, tmp_path):
    with sealed.open() as url:
        until_sealed(url, SEALED)
    shutil.copy(sealed.policy, sealed.home / "policy")
    key = Policy.parse(sealed.policy.read_text()).witnesses["kg"]
    line = f"— {key.name} {base64.b64encode(key.id + bytes(72)).decode()}"
    as_root(sealed.dsn, f"UPDATE hub.cosignature SET signature = '{line}' || chr(10) WHERE witness = 'kg'")
    code, out, _ = hub(sealed.dsn, "doctor")
    assert code == 1 and "stored as the signature of kg is not that" in out, out
    # Another key's is that of a witness that has begun anew.
    line = f"— {key.name} {base64.b64encode(bytes(76)).decode()}"
    as_root(sealed.dsn, f"UPDATE hub.cosignature SET signature = '{line}' || chr(10) WHERE witness = 'kg'")
    assert hub(sealed.dsn, "doctor")[0] == 0
    # What has not even the form of one keeps nobody from the rest.
    # Nor is a quorum what nobody of it has signed, whatever stands there instead.
    for line in ("— x AAAAAAAAAA==", "AAAA"):
        kept = "CREATE TABLE public.kept AS TABLE hub.cosignature"
        as_root(sealed.dsn, kept, f"UPDATE hub.cosignature SET signature = '{line}' || chr(10)")
        code, out, _ = hub(sealed.dsn, "doctor")
        assert code == 1 and "0 of 5 witnesses have" in out, out
        as_root(
            sealed.dsn,
            """UPDATE hub.cosignature c SET signature = k.signature FROM public.kept k
               WHERE k.size = c.size AND k.witness = c.witness""",
            "DROP TABLE public.kept",
        )
    as_root(sealed.dsn, "UPDATE hub.cosignature SET signature = 'AAAA' || chr(10) WHERE witness = 'kg'")
    with sealed.open() as url:
        assert audit("checkpoint", refetched(sealed, url, tmp_path / "f"), "--policy", sealed.policy)[0] == 0
    # A hub whose first quorum is still awaited claims none.
    as_root(sealed.dsn, "DELETE FROM hub.cosignature", "UPDATE hub.head SET witnessed = false")
    assert "is said to have cosigned" not in hub(sealed.dsn, "doctor")[1]


async def _value(dsn, sql):
    db = await asyncpg.connect(dsn)
    try:
        return await db.fetchval(sql)
    finally:
        await db.close()


def test_a_row_of_a_read_model_is_edited(sealed, tmp_path):
    _, out, _ = hub(sealed.dsn, "doctor", "--json")
    import json

    schema = json.loads(out)["read models"]
    one = f"FROM {schema}.proposal WHERE status = 'declined' ORDER BY id LIMIT 1"
    edited = asyncio.run(_value(sealed.dsn, f"SELECT id {one}"))
    as_root(sealed.dsn, f"UPDATE {schema}.proposal SET status = 'awarded' WHERE id = '{edited}'")
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and "proposal" in out
    with sealed.open() as url:
        assert hub(sealed.dsn, "seal")[0] == 0
        until_sealed(url, SEALED + MODELS)
        folder = refetched(sealed, url, tmp_path / "new")
        assert audit("fsck", folder)[0] == 0
        code, found = audit("replay", folder)
        assert code == 1 and "the first row that differs is proposal_" in found["message"]
        # The seal before it was of the right rows: replay to its position still agrees.
        assert audit("replay", folder, "--at", TOLD)[0] == 0
        # The row is put back, and sealed anew: that it was another one stays proven.
        as_root(sealed.dsn, f"UPDATE {schema}.proposal SET status = 'declined' WHERE id = '{edited}'")
        assert hub(sealed.dsn, "verify")[0] == 0 and hub(sealed.dsn, "seal")[0] == 0
        until_sealed(url, SEALED + 22)
        folder = refetched(sealed, url, tmp_path / "newer")
        assert audit("replay", folder)[0] == 0
        code, found = audit("replay", folder, "--all")
        assert code == 1 and f"at position {SEALED}," in found["message"]
        assert audit("report", folder, "--policy", sealed.policy)[0] == 1


def test_two_histories_are_shown_to_witnesses(sealed, server, tmp_path):
    twin = type(sealed)(asyncio.run(copied(server, "sealed")))
    with sealed.open() as url:
        assert hub(sealed.dsn, "seal")[0] == 0
        until_sealed(url, SEALED + MODELS)
        one = refetched(sealed, url, tmp_path / "one")
    # The twin has the same keys, and its witnesses are the same: they have seen the first history.
    shutil.copytree(sealed.home, twin.home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock", "log.head"))
    LastHead(twin.home / "log.head").keep(notes.Checkpoint.parse((sealed.fetched / "checkpoint").read_bytes()).head)
    with twin.open() as url:
        assert hub(twin.dsn, "seal")[0] == 0
        # Until the twin has as many events, its witnesses say that they saw more; then, that they saw others.
        assert stopped(twin.dsn, rf"have seen (a head|another history) of {SEALED + MODELS}\b")
        other = refetched(twin, url, tmp_path / "other")
        assert audit("checkpoint", other, "--policy", sealed.policy, "--max-age", "1h")[0] == 0
        # What the second one publishes is no more than what both share.
        assert audit("compare", one, other, "--policy", sealed.policy)[0] == 0
        assert notes.Checkpoint.parse((other / "checkpoint").read_bytes()).head.size == SEALED


async def _waits(dsn):
    db = await asyncpg.connect(dsn)
    try:
        return await db.fetchval("SELECT count(*) FROM hub.restored")
    finally:
        await db.close()


def test_last_nights_backup_is_restored_and_goes_on(sealed, sealed_once, server, tmp_path):
    mirror = tmp_path / "mirror"
    with sealed.open() as url:
        assert hub(sealed.dsn, "seal")[0] == 0
        head = until_sealed(url, SEALED + MODELS)
        words = ("mirror", f"{url}/log", mirror, "--policy", sealed.policy, "--token-file", sealed.token, "--once")
        assert hub(sealed.dsn, *words)[0] == 0
    # The database is put back to last night; the folder with the key is not.
    restored = type(sealed)(asyncio.run(copied(server, "sealed")))
    shutil.copytree(sealed.home, home_of(restored.dsn), dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock"))
    code, _, said = hub(restored.dsn, "serve", "--demo", "--port", "18998")
    assert code == 1 and "hub restore" in said
    # With the folder put back as well, the witnesses still know.
    LastHead(restored.home / "log.head").keep(notes.Checkpoint.parse((sealed.fetched / "checkpoint").read_bytes()).head)
    with restored.open():
        said = stopped(restored.dsn, f"have seen a head of {head}")
        assert f"have seen a head of {head}" in said and "hub restore" in said
    # Refilled from the mirror it does nothing by itself until witnesses know no more; then it goes on, and is sealed.
    assert asyncio.run(_waits(restored.dsn)) == 0
    code, out, said = hub(restored.dsn, "restore", mirror, "--policy", restored.policy)
    assert code == 0 and f"{MODELS} of them came from the mirror" in out, said
    assert asyncio.run(_waits(restored.dsn)) == 1
    code, out, said = hub(restored.dsn, "restore", mirror, "--policy", restored.policy)
    assert code == 0 and asyncio.run(_waits(restored.dsn)) == 1
    assert hub(restored.dsn, "verify")[0] == 0
    with restored.open() as url:
        assert hub(restored.dsn, "seal")[0] == 0
        assert until_sealed(url, head + MODELS) == head + MODELS
        assert hub(restored.dsn, "doctor")[0] == 0 and asyncio.run(_waits(restored.dsn)) == 0
        folder = refetched(restored, url, tmp_path / "new")
        assert audit("consistency", folder, "--since", mirror / "checkpoint", "--policy", sealed.policy)[0] == 0


def mutation(chance):
    """One random change by somebody with root on the database, what undoes it, and the command that has to find it."""
    kind = chance.choice(["type", "tags", "actor", "at", "request", "data", "swap", "tile", "root", "cosignature"])
    position = chance.randint(1, SEALED)
    if kind == "swap":
        other = chance.choice([n for n in range(1, SEALED + 1) if n != position])
        change = f"""WITH a AS (SELECT * FROM hub.event WHERE position IN ({position}, {other}))
            UPDATE hub.event e SET data = a.data, type = a.type, tags = a.tags FROM a
            WHERE e.position IN ({position}, {other}) AND a.position <> e.position"""
        return kind, change, change, "fsck"
    if kind == "tile":
        at = chance.randrange(32)
        change = f"UPDATE hub.tile SET hashes = set_byte(hashes, {at}, get_byte(hashes, {at}) # 64) WHERE index = 0"
        return kind, change, change, "fsck"
    if kind == "root":
        at = chance.randrange(32)
        change = f"UPDATE hub.head SET root = set_byte(root, {at}, get_byte(root, {at}) # 1)"
        return kind, change, change, "checkpoint"
    if kind == "cosignature":
        change = "UPDATE hub.cosignature SET signature = regexp_replace(signature, '(.)(.{4})=', 'Z\\2=')"
        return kind, change, None, "checkpoint"
    column = {
        "type": "'X' || type",
        "tags": "tags || ' call_01k00000000000000000000000'",
        "actor": "actor || 'x'",
        "at": "at + interval '1 microsecond'",
        "request": "'x' || request",
        "data": "(regexp_replace(data::text, '(.)\\}$', '\\1 }'))::json",
    }[kind]
    return kind, f"UPDATE hub.event SET {kind} = {column} WHERE position = {position}", None, "fsck"


def test_two_hundred_random_changes_are_all_found(sealed, tmp_path):
    chance = random.Random(20)
    as_root(
        sealed.dsn,
        "CREATE TABLE public.event AS TABLE hub.event",
        "CREATE TABLE public.cosignature AS TABLE hub.cosignature",
    )
    # One statement is one transaction: the hub that serves meanwhile sees either all or nothing of it.
    back = """DELETE FROM hub.event; INSERT INTO hub.event TABLE public.event;
              UPDATE hub.cosignature c SET signature = o.signature FROM public.cosignature o
              WHERE (o.size, o.witness) = (c.size, c.witness)"""
    found_by = {}
    with sealed.open() as url, asyncio.Runner() as runner:
        root = runner.run(asyncpg.connect(sealed.dsn))
        until_sealed(url, SEALED)
        for n in range(200):
            kind, change, undo, command = mutation(chance)
            runner.run(root.execute(change))
            folder = tmp_path / str(n)
            region_code, said = sealed.fetch(url, folder)
            assert region_code == 0, said
            words = ("--policy", sealed.policy) if command == "checkpoint" else ()
            code, found = audit(command, folder, *words)
            assert code in ((2, 3) if command == "checkpoint" else (1,)), (kind, change, found)
            found_by[kind] = found_by.get(kind, 0) + 1
            runner.run(root.execute(undo or back))
            shutil.rmtree(folder)
        code, _ = sealed.fetch(url, tmp_path / "end")
        assert code == 0 and audit("fsck", tmp_path / "end")[0] == 0
        runner.run(root.close())
    assert len(found_by) == 10, found_by
