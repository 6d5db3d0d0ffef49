"""While some commands are being committed the next are decided on them, and hold only if those do."""

import asyncio
import random

import asyncpg
import pytest

from domain.core import Reason, Refusal
from domain.organizations import AppointOfficer, AuthorizeSignatory, DismissOfficer
from domain.proposals import DraftProposal, ReviseProposal, WithdrawProposal
from hub.door import Hub
from hub.models import verify
from hub.turns import Receipt
from hub.writer import Busy, Unknown
from tests.test_log import check_log, person, region, told


class Gate:
    """Holds what a writer appends, until it is opened; then it may fail, before or after the commit."""

    def __init__(self, hub):
        self.writer, self.append = hub.writer, hub.writer._append
        self.opened, self.reached = asyncio.Event(), asyncio.Event()
        self.fails = ""
        hub.writer._append = self.held

    async def held(self, turn):
        self.reached.set()
        await self.opened.wait()
        if self.fails == "before":
            self.fails = ""
            self.writer._db.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        found = await self.append(turn)
        if self.fails == "after":
            self.fails = ""
            self.writer._db.terminate()
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

        async def slowly(turn):
            await asyncio.sleep(0.5)
            return await gate.append(turn)

        hub.writer._append = slowly
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

            async def unreliable(turn, hub=hub, append=hub.writer._append):
                what = chance.random()
                if what < 0.03:
                    hub.writer._db.terminate()
                    raise asyncpg.ConnectionDoesNotExistError("before")
                await asyncio.sleep(chance.random() * 0.004)
                found = await append(turn)
                if what > 0.98:
                    hub.writer._db.terminate()
                    raise asyncpg.ConnectionDoesNotExistError("after")
                return found

            hub.writer._append = unreliable
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


@pytest.mark.parametrize(("pause", "least"), [(0.0, 1), (0.2, 12)])
def test_who_comes_together_is_committed_together_where_the_disk_is_slow(dsn, pause, least):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        turns, append = [], hub.writer._append

        async def counted(turn):
            turns.append(len(turn.batch))
            await asyncio.sleep(pause)
            return await append(turn)

        async def client(n):
            for k in range(8):
                await hub.do(DraftProposal(call=call, lead=lead, title=f"Draft {n} {k}"), author)

        hub.writer._append = counted
        await client(0)
        turns.clear()
        await asyncio.gather(*(client(n) for n in range(16)))
        assert sum(turns) == 128 and sum(turns) / len(turns) >= least
        await hub.close()

    told(story())
