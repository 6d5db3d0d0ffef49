"""While some commands are being committed the next are decided on them, and hold only if those do."""

import asyncio
import random
import time
from datetime import date
from types import SimpleNamespace

import asyncpg
import pytest
from asyncpg import connect_utils

from domain.core import Reason, Refusal
from domain.organizations.offices import AppointOfficer, AuthorizeSignatory, DismissOfficer
from domain.people.affiliations import DeclareAffiliation
from domain.proposals.commands import DraftProposal, ReviseProposal
from domain.proposals.decisions import WithdrawProposal
from domain.proposals.state import Proposal
from hub import appending, confirming, turns
from hub import writer as writers
from hub.cli import doctor
from hub.confirming import Unknown
from hub.door import Hub
from hub.models import verify
from hub.turns import Receipt
from hub.waiting import Busy, Waiting
from tests.test_log import check_log, person, region, told
from tests.web import hub as command


class Gate:
    """Holds what a writer appends, until it is opened; then it may fail, before or after the commit."""

    def __init__(self, hub):
        self.writer, self.append = hub.writer, hub.writer.appender.append
        self.opened, self.reached = asyncio.Event(), asyncio.Event()
        self.fails = ""
        hub.writer.appender.append = self.held

    async def held(self, turn, schema):
        self.reached.set()
        await self.opened.wait()
        if self.fails == "before":
            self.fails = ""
            self.writer.appender.db.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        found = await self.append(turn, schema)
        if self.fails == "after":
            self.fails = ""
            self.writer.appender.db.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return found

    async def behind(self, first, *others):
        """The answers to commands of which the first is being committed when the others come."""
        self.opened.clear()
        self.reached.clear()
        asked = [asyncio.create_task(first)]
        await self.reached.wait()
        asked += [asyncio.create_task(each) for each in others]
        # They are decided, on what nobody knows to be recorded, and none of them is answered.
        for _ in range(200):
            if len(self.writer._turns) == 2 and len(self.writer._turns[1].batch) == len(others):
                break
            await asyncio.sleep(0.005)
        assert not any(each.done() for each in asked), [each.result() for each in asked if each.done()]
        self.opened.set()
        return await asyncio.gather(*asked, return_exceptions=True)


async def check_states(hub):
    """Whatever is in memory is what the log says."""
    for (cls, tag), (state, _) in list(hub.states._held.items()):
        fresh, _ = await hub.states.load((cls, tag))
        assert fresh == state, (cls, tag)


@pytest.mark.parametrize("fails", ["", "before", "after"])
def test_what_comes_meanwhile_is_decided_on_what_is_being_committed(dsn, fails):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        mine, other = [
            (await hub.do(DraftProposal(call=call, lead=lead, title=f"Draft {n}"), author)).record for n in range(2)
        ]
        gate = Gate(hub)
        gate.fails = fails
        withdrawn, revised, same, elsewhere = await gate.behind(
            hub.do(WithdrawProposal(proposal=mine, reason="No time"), author),
            hub.do(ReviseProposal(proposal=mine, title="Too late"), author),
            hub.do(ReviseProposal(proposal=other, title="First"), author),
            hub.do(ReviseProposal(proposal=other, title="Second"), author, "a-key"),
        )
        if fails:
            assert isinstance(withdrawn, Unknown)
        if fails == "before":
            # It was never withdrawn: what was decided as if it were is decided anew.
            assert isinstance(revised, Receipt) and revised.events == 1
        else:
            assert isinstance(revised, Refusal) and revised.reason == Reason.WRONG_STATUS
        assert fails or same.position < elsewhere.position
        assert await hub.do(ReviseProposal(proposal=other, title="Second"), author, "a-key") == elsewhere
        rows = await check_log(hub)
        assert sum(row.type == "ProposalWithdrawn" for row in rows) == (fails != "before")
        await check_states(hub)
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.close()

    told(story())


def test_one_key_behind_itself_waits_for_its_answer(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        draft, gate = DraftProposal(call=call, lead=lead, title="Once"), Gate(hub)
        gate.opened.set()

        async def slowly(turn, schema):
            await asyncio.sleep(0.5)
            return await gate.append(turn, schema)

        hub.writer.appender.append = slowly
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(hub.do(draft, author, "a-key") for _ in range(8)))
        assert all(each == answers[0] for each in answers)
        assert sum(row.type == "ProposalDrafted" for row in await check_log(hub)) == 1
        await hub.close()

    told(story())


@pytest.mark.parametrize("asked", ["at once", "afterwards"])
def test_what_is_read_from_the_log_while_it_changes_is_not_taken_for_the_newest(dsn, asked):
    async def story():
        hub = await Hub.open(dsn)
        officer, _, lead, _ = await region(hub)
        other, signer = await person(hub, "Other"), await person(hub, "Signer")
        await hub.do(AppointOfficer(organization=lead, person=other), officer)
        await hub.do(DismissOfficer(organization=lead, person=other), officer)
        here = DeclareAffiliation(person=signer, organization=lead, position="Dean", since=date(2020, 1, 1))
        await hub.do(here, signer)
        # Nothing that the decision needs has to do with the offices of whom it is about: those are not in memory.
        hub.states.drop()
        gate, sign = Gate(hub), AuthorizeSignatory(organization=lead, person=signer)
        if asked == "at once":
            _, signed = await gate.behind(
                hub.do(AppointOfficer(organization=lead, person=other), officer), hub.do(sign, other)
            )
        else:
            appointing = asyncio.create_task(
                gate.behind(hub.do(AppointOfficer(organization=lead, person=other), officer))
            )
            await gate.reached.wait()
            await hub.actions(other, lead)
            await appointing
            signed = await hub.do(sign, other)
        assert isinstance(signed, Receipt) and signed.events == 1
        await check_states(hub)
        await hub.close()

    told(story())


def test_whatever_fails_in_between_memory_and_rows_are_as_the_log_is(dsn):
    async def story():
        chance = random.Random(11)
        hubs = [await Hub.open(dsn) for _ in range(2)]
        _, author, lead, call = await region(hubs[0])
        drafts = [
            (await hubs[0].do(DraftProposal(call=call, lead=lead, title=f"Draft {n}"), author)).record for n in range(6)
        ]
        for hub in hubs:

            async def unreliable(turn, schema, hub=hub, append=hub.writer.appender.append):
                what = chance.random()
                if what < 0.03:
                    hub.writer.appender.db.terminate()
                    raise asyncpg.ConnectionDoesNotExistError("before")
                await asyncio.sleep(chance.random() * 0.004)
                found = await append(turn, schema)
                if what > 0.98:
                    hub.writer.appender.db.terminate()
                    raise asyncpg.ConnectionDoesNotExistError("after")
                return found

            hub.writer.appender.append = unreliable
        done = []

        async def work(n):
            for k in range(40):
                hub, proposal = chance.choice(hubs), chance.choice(drafts)
                if chance.random() < 0.05:
                    hub.states.drop()
                command = ReviseProposal(proposal=proposal, title=f"Title {n} {k}")
                if chance.random() < 0.1:
                    command = DraftProposal(call=call, lead=lead, title=f"New {n} {k}")
                key = f"key-{n}-{k}" if chance.random() < 0.5 else None
                try:
                    done.append(await hub.do(command, author, key))
                except Unknown:
                    if key is not None:
                        done.append(await again(hub, command, key))

        async def again(hub, command, key):
            while True:
                try:
                    return await hub.do(command, author, key)
                except (Unknown, Busy):
                    continue

        await asyncio.gather(*(work(n) for n in range(24)))
        rows = {row.position: row for row in await check_log(hubs[0])}
        told_of = [each.position for each in done if each.events]
        assert len(told_of) == len(set(told_of)) > 500
        assert all(rows[each].event.proposal for each in told_of)
        for hub in hubs:
            await hub.writer.reach(max(rows))
            await check_states(hub)
            assert (await verify(hub.log, hub.models))[1] is None
            await hub.close()

    told(story())


def test_who_is_outrun_comes_to_its_turn_however_fast_others_append(dsn):
    """A batch that takes long to decide, beside somebody who appends all the time and has nothing to decide."""

    async def story():
        slow, quick = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(slow)
        mine = (await slow.do(DraftProposal(call=call, lead=lead, title="Quick"), author)).record
        ended, rounds, hurried = asyncio.Event(), [], []

        async def hurry():
            while not ended.is_set():
                await quick.do(ReviseProposal(proposal=mine, title=f"Quick {len(hurried)}"), author)
                hurried.append(1)

        send = slow.writer.appender.settle

        async def late(turn, schema):
            # As long as deciding for many takes: others have appended before it is sent.
            rounds.append(len(turn.batch))
            await asyncio.sleep(0.05)
            return await send(turn, schema)

        slow.writer.appender.settle = late
        hurrying = asyncio.create_task(hurry())
        async with asyncio.timeout(20):
            await asyncio.gather(
                *(slow.do(DraftProposal(call=call, lead=lead, title=f"Slow {n}"), author) for n in range(40))
            )
            assert len(rounds) <= 8, rounds
            # Nor does it keep the other one from its turns, however long it goes on.
            while len(hurried) < 2:
                await slow.do(DraftProposal(call=call, lead=lead, title="And on"), author)
        ended.set()
        await hurrying
        # What nobody else appends to is decided ahead again.
        for n in range(2):
            await slow.do(DraftProposal(call=call, lead=lead, title=f"Alone {n}"), author)
        assert not slow.writer._outrun and not slow.writer.appender.reserved
        await check_log(slow)
        for hub in (slow, quick):
            assert (await verify(hub.log, hub.models))[1] is None
            await hub.close()

    told(story())


def test_who_keeps_others_from_appending_and_does_nothing_is_ended(dsn, monkeypatch):
    monkeypatch.setattr(appending, "_RESERVE", appending._RESERVE.replace(appending.STALLED, "200ms"))

    async def story():
        stalled, other = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(stalled)
        await other.do(DraftProposal(call=call, lead=lead, title="Another's"), author)
        gate, reserve, reserved = Gate(stalled), stalled.writer._reserve, asyncio.Event()
        gate.opened.set()

        async def then_stalls():
            done = await reserve()
            gate.opened.clear()
            reserved.set()
            return done

        stalled.writer._reserve = then_stalls
        lost = asyncio.create_task(stalled.do(DraftProposal(call=call, lead=lead, title="Outrun"), author))
        await reserved.wait()
        # It holds the lock, and neither sends nor lets go: the server ends its connection, and others go on.
        async with asyncio.timeout(10):
            await other.do(DraftProposal(call=call, lead=lead, title="Goes on"), author)
        stalled.writer._reserve = reserve
        gate.opened.set()
        with pytest.raises(Unknown):
            await lost
        assert (await stalled.do(DraftProposal(call=call, lead=lead, title="Here again"), author)).events == 1
        for hub in (stalled, other):
            await hub.close()

    told(story())


@pytest.mark.parametrize(("pause", "least"), [(0.0, 1), (0.2, 12)])
def test_who_comes_together_is_committed_together_where_the_disk_is_slow(dsn, pause, least):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        turns, append = [], hub.writer.appender.append

        async def counted(turn, schema):
            turns.append(len(turn.batch))
            await asyncio.sleep(pause)
            return await append(turn, schema)

        async def client(n):
            for k in range(8):
                await hub.do(DraftProposal(call=call, lead=lead, title=f"Draft {n} {k}"), author)

        hub.writer.appender.append = counted
        await client(0)
        turns.clear()
        await asyncio.gather(*(client(n) for n in range(16)))
        assert sum(turns) == 128 and sum(turns) / len(turns) >= least
        await hub.close()

    told(story())


def test_two_of_one_new_key_behind_a_commit_wait_for_it(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        gate, asked = Gate(hub), []
        answered = hub._answered

        async def counted(*args):
            asked.append(args)
            return await answered(*args)

        hub._answered = counted
        other = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Other"), author))
        await gate.reached.wait()
        draft = DraftProposal(call=call, lead=lead, title="Once")
        twice = [asyncio.create_task(hub.do(draft, author, "a-key")) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in twice) and len(asked) < 10
        gate.opened.set()
        one, same = await asyncio.gather(*twice)
        assert one == same and (await other).events == 1
        await hub.close()

    told(story())


def test_a_state_that_was_read_before_the_writer_connected_anew_is_not_kept(dsn, monkeypatch):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        mine = (await hub.do(DraftProposal(call=call, lead=lead, title="Draft"), author)).record
        gate, load, held, loaded = Gate(hub), hub.states.load, asyncio.Event(), asyncio.Event()
        gate.fails = "after"

        async def slowly(key):
            found = await load(key)
            if key[1] == mine and not held.is_set():
                loaded.set()
                await held.wait()
            return found

        withdrawing = asyncio.create_task(hub.do(WithdrawProposal(proposal=mine, reason="No time"), author))
        await gate.reached.wait()
        hub.states.drop()
        hub.states.load = slowly
        looking = asyncio.create_task(hub.actions(author, mine))
        await loaded.wait()
        connect = appending.connect

        async def connecting(*args, **options):
            held.set()
            await asyncio.sleep(0.05)
            return await connect(*args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(appending, "connect", connecting)
            gate.opened.set()
            with pytest.raises(Unknown):
                await withdrawing
            await looking
            with pytest.raises(Refusal):
                await hub.do(ReviseProposal(proposal=mine, title="Too late"), author)
        await check_states(hub)
        await hub.close()

    told(story())


@pytest.mark.parametrize("too_old", [False, True])
def test_a_connection_that_ends_while_the_writer_connects_anew_ends_no_writer(dsn, monkeypatch, too_old):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        other, holding = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        held = holding.transaction()
        await held.start()
        await holding.execute(f"LOCK TABLE {hub.models.schema}.position IN ACCESS EXCLUSIVE MODE")
        hub.writer.appender.db.terminate()
        monkeypatch.setattr("hub.waiting.TOO_OLD", 0.05 if too_old else 120.0)
        asked = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Draft"), author))
        waits = """SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%parked%'
                   AND datname = current_database()"""
        while (pid := await other.fetchval(waits)) is None:
            await asyncio.sleep(0.02)
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        await asyncio.sleep(0.1)
        await held.rollback()
        async with asyncio.timeout(10):
            # What was given long ago is not recorded under its time: who waited so long gives it again.
            if too_old:
                with pytest.raises(Busy):
                    await asked
            else:
                assert (await asked).events == 1
        for each in (other, holding):
            await each.close()
        await hub.close()

    told(story())


def test_who_waited_for_too_long_is_told_to_come_again_wherever_they_waited():
    failed = []

    def waits(name, seconds):
        pending = SimpleNamespace(act=SimpleNamespace(begun=time.monotonic() - seconds))
        pending.done = SimpleNamespace(done=lambda: name in failed)
        pending.fail = lambda error: failed.append(name) if isinstance(error, Busy) else None
        return pending

    waiting = Waiting()
    waiting.alone.extend(each for each in (waits("old alone", 121), waits("alone", 1)))
    for each in (waits("old", 121), waits("new", 1), waits("newer", 0)):
        waiting.put(each)
    assert waiting.take_alone() == [] and len(waiting.take_alone()) == 1
    assert len(waiting.take(1)) == 1 and failed == ["old alone", "old"]
    waiting.give_up(20)
    assert waiting and failed == ["old alone", "old"]
    waiting.alone.append(waits("apart", 2))
    waiting.give_up()
    assert not waiting and sorted(failed[2:]) == ["apart", "newer"]


def test_who_asks_while_there_is_no_database_is_told_to_come_again(dsn, monkeypatch):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        monkeypatch.setattr("hub.writer.CONFIRMED", 0.5)

        async def away():
            raise OSError("no server")

        with monkeypatch.context() as gone:
            gone.setattr(hub.writer.appender, "connect", away)
            hub.writer.appender.db.terminate()
            async with asyncio.timeout(5):
                with pytest.raises(Busy):
                    await hub.do(DraftProposal(call=call, lead=lead, title="Draft"), author)
        assert (await hub.do(DraftProposal(call=call, lead=lead, title="Draft"), author)).events == 1
        await hub.close()

    told(story())


def test_what_holds_up_one_commit_is_waited_for_by_nobody_in_line(dsn, monkeypatch):
    """Somebody's own session locks the log: who was sent is told that it is not known, the others to come again."""

    async def story():
        monkeypatch.setattr(confirming, "CONFIRMED", 1.0)
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        holding = await asyncpg.connect(dsn)
        held = holding.transaction()
        await held.start()
        await holding.execute("LOCK TABLE hub.event IN SHARE MODE")
        draft, answers = DraftProposal(call=call, lead=lead, title="Draft"), []
        for n in range(6):
            answers.append(asyncio.create_task(hub.do(draft, author, key=f"draft-{n}")))
            await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            found = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(found[0], Unknown) and {type(each) for each in found} == {Unknown, Busy}
        # Whoever looks after the hub is told who it is.
        monkeypatch.setattr(doctor, "_HELD_UP", doctor._HELD_UP.replace("5 seconds", "50 milliseconds"))
        waiting = await asyncpg.connect(dsn)
        waits = asyncio.create_task(waiting.execute("DELETE FROM hub.event WHERE false"))
        await asyncio.sleep(0.2)
        code, said, _ = await asyncio.to_thread(command, dsn, "doctor")
        assert code == 1 and "others hold what the hub writes to" in said and "LOCK TABLE hub.event" in said
        await held.rollback()
        await waits
        for each in (holding, waiting):
            await each.close()
        done = [await hub.do(draft, author, key=f"draft-{n}") for n in range(6)]
        assert len({each.record for each in done}) == 6
        await hub.close()

    told(story())


def test_what_took_too_long_to_be_decided_is_not_recorded_under_its_time(dsn, monkeypatch):
    """Wherever it waited: here for what it is decided on. Who came after it is not held up."""

    async def story():
        told_, hub = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(told_)
        load = hub.states.load

        async def slow(key):
            await asyncio.sleep(0.5)
            return await load(key)

        monkeypatch.setattr("hub.waiting.TOO_OLD", 0.3)
        monkeypatch.setattr(hub.states, "load", slow)
        draft = DraftProposal(call=call, lead=lead, title="Draft")
        asked = asyncio.create_task(hub.do(draft, author))
        await asyncio.sleep(0.4)
        after = asyncio.create_task(told_.do(draft, author))
        with pytest.raises(Busy):
            await asked
        assert (await after).events == 1
        # What it waited for is in memory now.
        assert (await hub.do(draft, author)).events == 1
        for each in (told_, hub):
            assert len(each.writer._waiting.queue) == 0
            await each.close()

    told(story())


def test_an_event_of_a_newer_hub_leaves_nobody_waiting(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        db = await asyncpg.connect(dsn)
        position = hub.writer.head + 1
        await db.execute("INSERT INTO hub.event VALUES ($1, 'FromTheFuture', '', 'hub', now(), 'r', '{}')", position)
        await db.close()
        asked = hub.do(DraftProposal(call=call, lead=lead, title="Draft"), author), hub.actions(author, lead, position)
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in answers} == {Unknown} and not hub.writer._task.done()
        async with asyncio.timeout(10):
            await hub.close()

    told(story())


def test_a_mistake_in_a_decision_gives_nobody_s_command_twice(dsn, monkeypatch):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        mine = (await hub.do(DraftProposal(call=call, lead=lead, title="Mine"), author)).record
        gate, decide, failed = Gate(hub), turns.decide, []

        def breaking(command, model, act):
            if getattr(command, "title", "") == "Poison" and not failed:
                failed.append(command)
                raise KeyError("a mistake in a decision")
            return decide(command, model, act)

        monkeypatch.setattr(turns, "decide", breaking)
        first = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Other"), author))
        await gate.reached.wait()
        put, taken = hub.writer.put, []
        hub.writer.put = taken.append
        revising = asyncio.create_task(hub.do(ReviseProposal(proposal=mine, title="Once"), author))
        poison = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Poison"), author))
        while len(taken) < 2:
            await asyncio.sleep(0.01)
        taken.sort(key=lambda each: each.command.title == "Poison")
        taken[1].decided = False
        hub.states._held.pop((Proposal, mine))
        hub.writer.put = put
        for each in taken:
            put(each)
        await asyncio.sleep(0.1)
        gate.opened.set()
        _, revised, poisoned = await asyncio.gather(first, revising, poison)
        assert failed and revised.events == poisoned.events == 1
        rows = await check_log(hub)
        assert sum(getattr(row.event, "title", "") == "Once" for row in rows) == 1
        await hub.close()

    told(story())


def test_a_parked_record_holds_up_no_fold(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        mine = (await hub.do(DraftProposal(call=call, lead=lead, title="Mine"), author)).record
        await hub.do(ReviseProposal(proposal=mine, title="Again"), author)
        rows = (await hub.log.read(limit=1_000))[-2:]
        hub.models._parked.add(("proposal", (mine,)))
        hub.models.drop()
        batch = hub.models.begin()

        async def never(wanted, db):
            raise AssertionError("there is nothing to be read")

        hub.models._load = never
        await hub.models.fold(batch, rows)
        assert ("proposal", (mine,)) not in batch.changed and len(batch.entries) == 2
        await hub.close()

    told(story())


def test_so_many_wait_behind_a_commit_and_whoever_comes_then_is_told_at_once(dsn, monkeypatch):
    monkeypatch.setattr("hub.waiting.MAX_WAITING", 40)
    monkeypatch.setattr(writers, "MAX_BATCH", 40)

    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        gate, draft = Gate(hub), DraftProposal(call=call, lead=lead, title="Once")
        first = asyncio.create_task(hub.do(draft, author, "a-key"))
        await gate.reached.wait()
        asked = []
        for _ in range(10):
            asked += [asyncio.create_task(hub.do(draft, author, "a-key")) for _ in range(20)]
            await asyncio.sleep(0.05)
        assert len(hub.writer._turns[1].later) <= 60 and sum(each.done() for each in asked) >= 80
        gate.opened.set()
        answers = await asyncio.gather(first, *asked, return_exceptions=True)
        assert {type(each) for each in answers} == {Receipt, Busy}
        await hub.close()

    told(story())


def test_the_writer_stops_however_its_connection_breaks(dsn, monkeypatch):
    monkeypatch.setattr("hub.writer.PATIENCE", 0.3)

    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, _ = await region(hub)
        holding = await asyncpg.connect(dsn)
        held = holding.transaction()
        await held.start()
        await holding.execute(f"LOCK TABLE {hub.models.schema}.position IN ACCESS EXCLUSIVE MODE")
        looking = asyncio.create_task(hub.actions(author, lead, 1_000_000))
        await asyncio.sleep(0.3)

        async def away(*_, **__):
            raise ConnectionRefusedError("away")

        with monkeypatch.context() as patched:
            # The server has gone, and what waits for it is never told: the request to cancel fails as well.
            patched.setattr(connect_utils, "_cancel", away)
            patched.setattr(appending, "connect", away)
            async with asyncio.timeout(10):
                await hub.writer.stop()
            with pytest.raises(Unknown):
                await looking
        await held.rollback()
        await holding.close()
        await hub.close()

    told(story())
