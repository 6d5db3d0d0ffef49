"""The tree follows the log whatever is killed; the sealer signs one history only, and says why it stops."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx2
import pytest
from hub_audit.tree import root_from_inclusion

from domain.organizations.commands import RegisterOrganization
from hub.audit import following, merkle
from hub.audit.events import differs
from hub.audit.heads import LastHead
from hub.audit.notes import Head
from hub.audit.policy import Policy
from hub.audit.sealer import Contradicted, Sealer, Stopped
from hub.audit.seals import published, seals
from hub.audit.tree import Tree, consistency, inclusion, root_at
from hub.audit.tree import leaves as tree_leaves
from hub.door import Hub
from hub.log import Log, as_writer
from tests.sealed import SEALED, as_root, until_sealed, witness_of
from tests.test_log import told
from tests.test_log_files import RECORD, bearer, token
from tests.test_notes import POLICY
from tests.web import hub

NOBODY = Policy(quorum="none")
MANY = """INSERT INTO hub.event
    SELECT n, 'ProposalWithdrawn', 'proposal_01k00000000000000000000000', 'hub', now(), 'r', '{"salt":"s"}'
    FROM generate_series(%d, %d) n"""
FOLLOW = """
import asyncio, sys
import asyncpg
from hub.audit import tree
from hub.log import as_writer
tree.BATCH = 3
async def main():
    db = await asyncpg.connect(sys.argv[1])
    await as_writer(db)
    it = tree.Tree(db)
    await it.open()
    print("open", flush=True)
    while await it.step():
        pass
asyncio.run(main())
"""


async def leaves(pool):
    return await tree_leaves(pool, 0, 2**40)


async def followed(dsn):
    db = await asyncpg.connect(dsn)
    await as_writer(db)
    tree = Tree(db)
    await tree.open()
    while await tree.step():
        pass
    await db.close()
    return tree


def test_a_follower_that_is_killed_goes_on_where_it_was(dsn):
    async def begin():
        await (await Log.open(dsn)).close()

    async def end():
        log = await Log.open(dsn)
        tree = await followed(dsn)
        hashes = [merkle.leaf_hash(leaf) for leaf in await leaves(log.pool)]
        assert tree.size == len(hashes) == 9_000 and tree.root == merkle.root_of(hashes)
        rows = await log.pool.fetch("SELECT level, index, hashes FROM hub.tile")
        found = {(row["level"], row["index"]): row["hashes"] for row in rows}
        edge = merkle.Edge()
        wanted = edge.grow(hashes)
        assert found == wanted
        assert await root_at(log.pool, 300) == merkle.root_of(hashes[:300])
        path = await inclusion(log.pool, 4_321, 9_000)
        assert root_from_inclusion(hashes[4_321], 4_321, 9_000, path) == tree.root
        path = await consistency(log.pool, 4_321, 9_000)
        assert merkle.is_consistent(4_321, 9_000, merkle.root_of(hashes[:4_321]), tree.root, path)
        await log.close()

    told(begin())
    as_root(dsn, MANY % (1, 9_000))
    chance, killed = random.Random(5), 0
    for _ in range(12):
        running = subprocess.Popen([sys.executable, "-c", FOLLOW, dsn], stdout=subprocess.PIPE)
        running.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        killed += running.poll() is None
        running.kill()
        running.wait()
    assert killed >= 3
    told(end())


def test_the_follower_misses_nothing_while_hubs_write(dsn):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        done = asyncio.Event()

        async def follow():
            db = await asyncpg.connect(dsn)
            await as_writer(db)
            tree = Tree(db)
            await tree.open()
            while await tree.step() or not done.is_set():
                await asyncio.sleep(0)
            await db.close()
            return tree

        async def write(hub, n):
            await hub.do(RegisterOrganization(name=f"University {n}", kind="university", city="Osh", country="KG"))

        following_ = asyncio.create_task(follow())
        await asyncio.gather(*(write(one if n % 2 else other, n) for n in range(300)))
        done.set()
        tree = await following_
        hashes = [merkle.leaf_hash(leaf) for leaf in await leaves(one.log.pool)]
        assert tree.size == len(hashes) == 300 and tree.root == merkle.root_of(hashes)
        await one.close()
        await other.close()

    told(story())


def sealing(dsn, home, story, origin="hub.example/log", policy=NOBODY):
    """Run a story with an open log and the sealer over it."""

    async def run():
        log = await Log.open(dsn)
        try:
            await story(log.pool, lambda: Sealer(log.pool, home, policy, origin))
        finally:
            await log.close()

    told(run())


def test_a_head_is_signed_once_and_remembered_before_it_is_shown(dsn, tmp_path):
    async def story(pool, sealer):
        one = sealer()
        await one.open()
        assert not await one.seal(0, merkle.EMPTY, datetime.now(UTC))
        await pool.execute(MANY % (1, 300))
        tree = await followed(dsn)
        assert await published(pool) is None
        assert await one.seal(tree.size, tree.root, datetime.now(UTC))
        assert not await one.seal(tree.size, tree.root, datetime.now(UTC))
        assert LastHead(tmp_path / "log.head").read() == Head("hub.example/log", 300, tree.root)
        note = await published(pool)
        assert note.startswith(b"hub.example/log\n300\n")
        assert await published(pool, at_least=301) is None
        first, last, beyond = await seals(pool, [1, 300, 301])
        assert first.witnessed and last.size == 300 and beyond.size is None
        # Started anew it signs the same head, and not another one.
        again = sealer()
        await again.open()
        assert not await again.seal(tree.size, tree.root, datetime.now(UTC))
        assert await published(pool) == note

    sealing(dsn, tmp_path, story)


def test_a_crash_between_remembering_and_recording_is_made_good(dsn, tmp_path):
    async def story(pool, sealer):
        await pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        one = sealer()
        await one.open()
        LastHead(tmp_path / "log.head").keep(Head("hub.example/log", tree.size, tree.root))
        assert await one.seal(tree.size, tree.root, datetime.now(UTC))
        assert await published(pool) is not None

    sealing(dsn, tmp_path, story)


def test_a_log_that_lost_or_changed_events_is_not_signed(dsn, tmp_path):
    async def story(pool, sealer):
        await pool.execute(MANY % (1, 300))
        tree = await followed(dsn)
        one = sealer()
        await one.open()
        last = LastHead(tmp_path / "log.head")
        last.keep(Head("hub.example/log", 400, bytes(32)))
        with pytest.raises(Stopped, match="hub restore"):
            await one.seal(tree.size, tree.root, datetime.now(UTC))
        last.keep(Head("hub.example/log", 200, bytes(32)))
        with pytest.raises(Stopped, match="the log was changed"):
            await one.seal(tree.size, tree.root, datetime.now(UTC))
        last.keep(Head("another.example/log", 200, await root_at(pool, 200)))
        with pytest.raises(Stopped, match=r"another\.example"):
            await one.seal(tree.size, tree.root, datetime.now(UTC))
        (tmp_path / "log.head").write_text("damaged")
        with pytest.raises(Stopped, match="damaged"):
            await one.seal(tree.size, tree.root, datetime.now(UTC))
        assert await published(pool) is None
        # What is put right goes on by itself.
        last.keep(Head("hub.example/log", 200, await root_at(pool, 200)))
        assert await one.seal(tree.size, tree.root, datetime.now(UTC))

    sealing(dsn, tmp_path, story)


def test_a_log_has_one_key(dsn, tmp_path):
    async def story(pool, sealer):
        await sealer().open()
        (tmp_path / "log.key").unlink()
        with pytest.raises(Stopped, match="bring back its file"):
            await sealer().open()
        (tmp_path / "log.key").write_text("no key")
        (tmp_path / "log.key").chmod(0o600)
        with pytest.raises(Stopped, match="cannot be used"):
            sealer()

    sealing(dsn, tmp_path, story)


def test_one_witness_alone_stops_nobody_and_a_quorum_does(dsn, tmp_path):
    async def story(pool, sealer):
        one = sealer()
        one._against["tj"] = Contradicted("Of this log, {who} seen another history of 5 events.")
        one.outvoted()
        one._against["kg"] = Contradicted("Of this log, {who} seen another history of 5 events.")
        with pytest.raises(Stopped, match="the witnesses kg, tj have seen another history"):
            one.outvoted()

    sealing(dsn, tmp_path, story, policy=Policy.parse(POLICY))


def test_read_models_are_sealed_when_they_are_due(region_dsn, monkeypatch):
    async def story():
        opened = await Hub.open(region_dsn)

        async def sealed_at():
            found = await opened.log.read(types=["ReadModelSealed"], limit=1_000)
            return sorted({each.event.position for each in found})

        await following.seal_models_when_due(opened)
        first = await sealed_at()
        assert len(first) == 1
        await following.seal_models_when_due(opened)
        assert await sealed_at() == first
        monkeypatch.setattr(following, "EVERY", 5)
        await following.seal_models_when_due(opened)
        assert len(await sealed_at()) == 2
        monkeypatch.setattr(following, "EVERY", 10_000)
        monkeypatch.setattr(following, "DAY", following.timedelta(0))
        await following.seal_models_when_due(opened)
        assert len(await sealed_at()) == 3
        await opened.close()

    told(story())


def test_a_witness_that_is_away_delays_nobody(sealed):
    with sealed.open() as url:
        until_sealed(url, SEALED)
        os.kill(witness_of(sealed.home, "kz"), signal.SIGKILL)
        assert hub(sealed.dsn, "seal")[0] == 0
        head = until_sealed(url, SEALED + 11)
        code, out, _ = hub(sealed.dsn, "doctor")
        assert code == 0 and "kz: " in out and f"head  {head}" in out


def test_a_new_event_is_recorded_and_then_sealed(sealed):
    with sealed.open() as url:
        until_sealed(url, SEALED)
        author, drafted = token(sealed, "author", "everything")
        revise = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) { refusal { message }
            receipt { position } proposal { seal { status position } } } }"""
        asked = {
            "query": revise,
            "variables": {"input": {"proposal": drafted["data"]["proposal"], "title": "A title after the seal"}},
        }
        found = httpx2.post(f"{url}/graphql", json=asked, headers=bearer(author)).json()["data"]["reviseProposal"]
        # The hub may have signed for it already; no witness has.
        assert found["proposal"]["seal"]["position"] == found["receipt"]["position"]
        assert found["proposal"]["seal"]["status"] in ("RECORDED", "SIGNED")
        not_yet = httpx2.get(f"{url}/log/proof/{found['receipt']['position']}", headers=bearer(author))
        assert not_yet.status_code == 200 or not_yet.headers["retry-after"] == "2"
        until_sealed(url, found["receipt"]["position"])
        again = {"query": RECORD, "variables": {"id": drafted["data"]["proposal"]}}
        seal = httpx2.post(f"{url}/graphql", json=again, headers=bearer(author)).json()["data"]["proposal"]["seal"]
        assert seal["status"] == "SEALED" and seal["position"] == found["receipt"]["position"]


def test_an_event_that_is_dated_before_the_seal_that_it_follows_was_put_in_unless_the_clock_was_set_back(dsn, tmp_path):
    async def story():
        opened = await Log.open(dsn)
        own = Sealer(opened.pool, tmp_path, NOBODY, "hub.example/log")
        await own.open()
        for n, ago in ((10, 120), (11, 60)):
            told_at = MANY.replace("now()", f"now() - interval '{ago} minutes'")
            first = 1 if n == 10 else n
            await opened.pool.execute(told_at % (first, n))
            tags = "INSERT INTO hub.tag SELECT tags, position, type FROM hub.event WHERE position >= $1"
            await opened.pool.execute(tags, first)
            tree = await followed(dsn)
            assert await own.seal(tree.size, tree.root, datetime.now(UTC))
        # The hub's own clock may have been wrong by hours, and is no witness.
        assert (await differs(dsn))[1] == ""
        await asyncio.to_thread(as_root, dsn, "UPDATE hub.head SET at = at + interval '2 days'")
        assert "event 11 is dated long before the hub signed" in (await differs(dsn))[1]
        cosigned = "INSERT INTO hub.cosignature SELECT 10, w, 's', now() - %s FROM unnest(ARRAY['a', 'b', 'c']) w"
        back = "UPDATE hub.head SET at = at - interval '2 days'"
        await asyncio.to_thread(as_root, dsn, back, cosigned % "interval '55 minutes'")
        assert (await differs(dsn))[1] == ""
        later = "UPDATE hub.cosignature SET at = now() WHERE witness > '%s'"
        await asyncio.to_thread(as_root, dsn, later % "b")
        assert (await differs(dsn))[1] == ""
        await asyncio.to_thread(as_root, dsn, later % "a")
        # That it was sealed meanwhile is no excuse; a clock that was set back before the next seal is.
        assert "event 11 is dated long before the hub signed" in (await differs(dsn))[1]
        await opened.close()
        await asyncio.to_thread(as_root, dsn, "UPDATE hub.head SET at = at - interval '1 hour' WHERE size = 11")
        assert (await differs(dsn))[1] == ""

    told(story())


def test_nobody_is_asked_for_the_time_of_a_log_whose_newest_event_is_dated_ahead(dsn):
    async def story():
        opened = await Hub.open(dsn)
        for minutes, asked in ((4, True), (6, False)):
            await opened.log.pool.execute(
                MANY.replace("now()", f"now() + interval '{minutes} minutes'") % (minutes, minutes)
            )
            head, whole = await following._newest(opened)
            assert head == minutes and (datetime.now(UTC) - whole < timedelta(minutes=1)) == asked
        await opened.close()

    told(story())


@pytest.mark.parametrize("held", [True, False])
def test_the_read_models_are_not_sealed_by_itself_while_nothing_is(dsn, monkeypatch, held):
    async def story():
        opened, sealed = await Hub.open(dsn), []

        async def held_up(_):
            return "this machine was started just now" if held else ""

        async def seal(_):
            sealed.append(1)

        monkeypatch.setattr(following, "held_up", held_up)
        monkeypatch.setattr(following, "seal_models_when_due", seal)
        task = asyncio.create_task(following._seal_models(opened))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert bool(sealed) != held
        await opened.close()

    told(story())
