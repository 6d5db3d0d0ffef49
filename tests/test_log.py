"""The log and its door on a real PostgreSQL: races, retries, rights, crashes."""

import asyncio
import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone

import asyncpg
import msgspec
import pytest

from domain.calls.commands import DraftCall, PublishCall
from domain.calls.events import Criterion
from domain.core import HubRole, Reason, Refusal
from domain.erasure import ErasePerson
from domain.organizations.commands import (
    ImportOrganization,
    RegisterOrganization,
    SuspendOrganization,
    VerifyOrganization,
)
from domain.organizations.offices import AppointOfficer
from domain.people.affiliations import DeclareAffiliation
from domain.people.commands import GrantRole, InvitePerson, JoinHub, LinkOrcid, RevokeRole, UnlinkOrcid
from domain.proposals.commands import AssessRisk, DraftProposal, ReviseProposal
from domain.proposals.decisions import WithdrawProposal
from domain.proposals.partners import InvitePartner
from hub.confirming import Unknown
from hub.door import Hub
from hub.erasing import Erasures
from hub.log import Log
from hub.models import verify
from hub.turns import Receipt
from hub.waiting import MAX_WAITING, Busy


def told(story):
    """Run an asynchronous story to its end."""
    return asyncio.run(asyncio.wait_for(story, 120))


async def person(hub, name):
    """Somebody who has been invited and has joined."""
    id = (await hub.do(InvitePerson(name=name, email=f"{name.lower()}@example.org"))).record
    await hub.do(JoinHub(person=id), id)
    return id


SINCE = date(2024, 1, 1)


async def region(hub):
    """A center officer, a researcher, a verified organization, a published call."""
    from datetime import UTC, datetime, timedelta

    officer, author = await person(hub, "Officer"), await person(hub, "Zarina")
    await hub.do(GrantRole(person=officer, role=HubRole.CENTER_OFFICER))
    register = RegisterOrganization(name="Institute", kind="university", city="Dushanbe", country="TJ")
    lead = (await hub.do(register, author)).record
    await hub.do(DeclareAffiliation(person=author, organization=lead, position="Researcher", since=SINCE), author)
    await hub.do(VerifyOrganization(organization=lead), officer)
    now = datetime.now(UTC)
    draft = DraftCall(
        title="Water and ice",
        summary="Joint research on water and ice.",
        opens_at=now,
        closes_at=now + timedelta(days=9),
        criteria=(Criterion("Excellence", 100),),
    )
    call = (await hub.do(draft, officer)).record
    await hub.do(PublishCall(call=call), officer)
    return officer, author, lead, call


async def check_log(hub):
    """Positions have no gaps, times never run backwards, and every tag is indexed."""
    rows = await hub.log.read(limit=1_000_000)
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert all(a.at <= b.at for a, b in itertools.pairwise(rows))
    indexed = {tuple(row) for row in await hub.log.pool.fetch("SELECT tag, position, type FROM hub.tag")}
    assert indexed == {(tag, row.position, row.type) for row in rows for tag in row.event.tags}
    assert all(len(json.loads(row.data)["salt"]) == 22 for row in rows)
    assert await verify(hub.log, hub.models) == (len(rows), None)
    return rows


def test_fifty_clients_on_one_record_lose_nothing(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Start"), author)).record
        revisions = [ReviseProposal(proposal=proposal, title=f"Title {n}") for n in range(50)]
        receipts = await asyncio.gather(*(hub.do(each, author) for each in revisions))
        assert len({each.position for each in receipts}) == 50
        rows = await check_log(hub)
        assert sum(row.type == "ProposalRevised" for row in rows) == 50
        await hub.close()

    told(story())


def test_of_fifty_who_saw_the_same_revision_one_wins(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Start"), author)).record
        race = [ReviseProposal(proposal=proposal, title=f"Title {n}", revision=1) for n in range(50)]
        answers = await asyncio.gather(*(hub.do(each, author) for each in race), return_exceptions=True)
        refused = [each for each in answers if isinstance(each, Refusal)]
        assert {each.reason for each in refused} == {Reason.CHANGED_MEANWHILE} and len(refused) == 49
        await hub.close()

    told(story())


def test_two_hubs_on_one_database_keep_one_orcid_and_one_ror_id_each(dsn):
    async def story():
        hubs = [await Hub.open(dsn), await Hub.open(dsn)]
        people = [await person(hubs[n % 2], f"Person{n}") for n in range(10)]
        link = [
            hubs[n % 2].do(LinkOrcid(person=each, orcid="0000-0002-1825-0097"), each) for n, each in enumerate(people)
        ]
        imports = [
            hubs[n % 2].do(
                ImportOrganization(
                    ror="02004hr86", name="Umarov Institute", names={}, kind="laboratory", city="D", country="TJ"
                )
            )
            for n in range(10)
        ]
        answers = await asyncio.gather(*link, *imports, return_exceptions=True)
        reasons = [each.reason for each in answers[:10] if isinstance(each, Refusal)]
        assert reasons == [Reason.ALREADY_TAKEN] * 9
        assert sum(each.events for each in answers[10:]) == 1
        await check_log(hubs[0])
        for hub in hubs:
            await hub.close()

    told(story())


def test_a_retry_gives_the_same_answer_and_is_written(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        draft = DraftProposal(call=call, lead=lead, title="Once")
        # Replies are lost: each caller goes away once its command is in the queue, before it is answered.
        keys, queued, put = [f"key-{n}" for n in range(200)], [], hub.writer.put
        hub.writer.put = lambda pending: (put(pending), queued.append(pending))
        for n, key in enumerate(keys, start=1):
            lost = asyncio.create_task(hub.do(draft, author, key))
            while len(queued) < n:
                await asyncio.sleep(0)
            assert lost.cancel()
        hub.writer.put = put
        await asyncio.wait([pending.done for pending in queued])
        assert sum(row.type == "ProposalDrafted" for row in await check_log(hub)) == 200
        first = await asyncio.gather(*(hub.do(draft, author, key) for key in keys))
        second = await asyncio.gather(*(hub.do(draft, author, key) for key in keys))
        assert first == second and len({each.record for each in first}) == 200
        rows = await check_log(hub)
        assert sum(row.type == "ProposalDrafted" for row in rows) == 200
        seen = await hub.log.pool.fetchval("SELECT min(seen) FROM hub.answer")
        assert seen >= 2
        with pytest.raises(Refusal) as refused:
            await hub.do(DraftProposal(call=call, lead=lead, title="Twice"), author, keys[0])
        assert refused.value.reason == Reason.KEY_REUSED
        await hub.close()

    told(story())


def test_one_key_sent_to_two_hubs_at_once_is_carried_out_once(dsn):
    async def story():
        hubs = [await Hub.open(dsn), await Hub.open(dsn)]
        _, author, lead, call = await region(hubs[0])
        draft = DraftProposal(call=call, lead=lead, title="Once")
        for n in range(20):
            answers = await asyncio.gather(*(hub.do(draft, author, f"key-{n}") for hub in hubs * 10))
            assert all(each == answers[0] for each in answers)
        rows = await check_log(hubs[1])
        assert sum(row.type == "ProposalDrafted" for row in rows) == 20
        for hub in hubs:
            await hub.close()

    told(story())


def test_one_key_sent_twice_at_once_gives_one_answer_whatever_the_command_changes(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        for n in range(6):
            invite = InvitePerson(name="Once", email=f"once{n}@example.org")
            answers = await asyncio.gather(*(hub.do(invite, author, f"invite-{n}") for _ in range(6)))
            assert len({each.record for each in answers}) == 1
            proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Start"), author)).record
            withdraw = WithdrawProposal(proposal=proposal, reason="No time")
            answers = await asyncio.gather(*(hub.do(withdraw, author, f"withdraw-{n}") for _ in range(6)))
            assert len({each.position for each in answers}) == 1
        await check_log(hub)
        await hub.close()

    told(story())


def test_a_refusal_and_nothing_to_do_are_judged_by_the_log_not_by_memory(dsn):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        officer, author, lead, _ = await region(one)
        await other.do(RevokeRole(person=author, role=HubRole.AUDITOR), officer)
        await one.do(GrantRole(person=author, role=HubRole.AUDITOR))
        assert (await other.do(RevokeRole(person=author, role=HubRole.AUDITOR), officer)).events == 1
        newcomer = (await other.do(InvitePerson(name="Newcomer", email="new@example.org"), author)).record
        appoint = AppointOfficer(organization=lead, person=newcomer)
        with pytest.raises(Refusal):
            await other.do(appoint, officer)
        await one.do(JoinHub(person=newcomer), newcomer)
        assert (await other.do(appoint, officer)).events == 1
        # What may be done is told at the position that the viewer has seen.
        receipt = await one.do(SuspendOrganization(organization=lead, reason="Inquiry"), officer)
        may = await other.actions(officer, lead, receipt.position)
        assert {each.command.__name__ for each in may} >= {"VerifyOrganization"}
        await check_log(one)
        for hub in (one, other):
            await hub.close()

    told(story())


def test_what_was_refused_by_memory_alone_is_carried_out_whatever_it_needs(dsn):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        _, author, _, _ = await region(one)
        newcomer = (await one.do(InvitePerson(name="Newcomer", email="new@example.org"), author)).record
        invite = InvitePerson(name="Friend", email="friend@example.org")
        with pytest.raises(Refusal):
            await other.do(invite, newcomer)
        await one.do(JoinHub(person=newcomer), newcomer)
        # Only now is the key of the new person asked for, after memory has said no.
        assert (await other.do(invite, newcomer)).events == 1
        await check_log(one)
        for hub in (one, other):
            await hub.close()

    told(story())


def test_read_models_are_made_anew_beside_hubs_that_go_on(dsn):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(one)
        counted = f'SELECT count(*) FROM {other.models.schema}."proposal"'
        done, over = [], asyncio.Event()

        async def work(n):
            while not over.is_set():
                done.append((await other.do(DraftProposal(call=call, lead=lead, title=f"Draft {n}"), author)).record)
                assert await other.log.pool.fetchval(counted) >= 1

        workers = [asyncio.create_task(work(n)) for n in range(4)]
        for _ in range(5):
            await asyncio.sleep(0.1)
            await one.rebuild()
        over.set()
        await asyncio.gather(*workers)
        assert await other.log.pool.fetchval(counted) == len(done) > 20
        await check_log(other)
        for hub in (one, other):
            await hub.close()

    told(story())


def test_a_commit_that_a_standby_has_not_confirmed_is_unknown_until_asked_again(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        draft, append = DraftProposal(call=call, lead=lead, title="Once"), hub.writer.appender.append

        async def warned(*args):
            found = await append(*args)
            await hub.writer.appender.db.execute(
                "SET client_min_messages = notice; DO $$ BEGIN RAISE WARNING 'local'; END $$"
            )
            return found

        hub.writer.appender.append = warned
        with pytest.raises(Unknown):
            await hub.do(draft, author, "key-1")
        hub.writer.appender.append = append
        receipt = await hub.do(draft, author, "key-1")
        assert (await hub.do(draft, author, "key-1")) == receipt
        rows = await check_log(hub)
        assert sum(row.type == "ProposalDrafted" for row in rows) == 1
        await hub.close()

    told(story())


def test_a_connection_that_breaks_while_committing_is_unknown_and_the_writer_goes_on(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        draft, append = DraftProposal(call=call, lead=lead, title="Once"), hub.writer.appender.append

        async def broken(*args):
            await append(*args)
            hub.writer.appender.db.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

        hub.writer.appender.append = broken
        with pytest.raises(Unknown):
            await hub.do(draft, author, "key-1")
        hub.writer.appender.append = append
        receipt = await hub.do(draft, author, "key-1")
        rows = await check_log(hub)
        assert [row.event.proposal for row in rows if row.type == "ProposalDrafted"] == [receipt.record]
        await hub.close()

    told(story())


def test_what_the_server_ended_while_nobody_used_it_costs_no_command_and_no_question(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        draft = DraftProposal(call=call, lead=lead, title="First", abstract="")
        id = (await hub.do(draft, author)).record
        # As after a restart of PostgreSQL: not one of the hub's connections is left.
        other = await asyncpg.connect(dsn)
        await asyncio.gather(*(hub.log.pool.fetchval("SELECT pg_sleep(0.05)") for _ in range(8)))
        mine = "pid <> pg_backend_pid() AND usename = current_user AND backend_type = 'client backend'"
        ended = await other.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        assert len(ended) >= 7
        await asyncio.sleep(0.2)
        receipt = await hub.do(ReviseProposal(proposal=id, title="Second"), author)
        assert receipt.position and receipt.record == id
        titles = await asyncio.gather(
            *(hub.log.pool.fetchval(f"SELECT title FROM {hub.models.schema}.proposal") for _ in range(8))
        )
        assert set(titles) == {"Second"}
        await other.close()
        await hub.close()

    told(story())


def test_who_waits_when_the_hub_closes_gets_an_answer(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        asked = [DraftProposal(call=call, lead=lead, title=f"Draft {n}") for n in range(40)]
        waiting = [asyncio.create_task(hub.do(draft, author)) for draft in asked]
        await asyncio.sleep(0)
        await hub.close()
        answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert {type(each) for each in answers} <= {Receipt, Busy}
        late = hub.do(asked[0], author), hub.actions(author, lead, 1_000_000)
        late = await asyncio.wait_for(asyncio.gather(*late, return_exceptions=True), 5)
        assert [type(each) for each in late] == [Busy, Unknown]
        hub = await Hub.open(dsn)
        rows = await check_log(hub)
        receipts = sum(isinstance(each, Receipt) for each in answers)
        assert sum(row.type == "ProposalDrafted" for row in rows) == receipts
        await hub.close()

    told(story())


def test_the_hub_closes_whatever_holds_on_to_it(dsn, monkeypatch):
    monkeypatch.setattr("hub.log.PATIENCE", 0.2)
    monkeypatch.setattr("hub.writer.PATIENCE", 0.2)

    async def story():
        hub = await Hub.open(dsn)
        officer, author, lead, call = await region(hub)
        # A connection that is never given back; a table that somebody has locked; a look that waits behind it.
        await hub.log.pool.acquire()
        other = await asyncpg.connect(hub.log.dsn)
        locked = other.transaction()
        await locked.start()
        await other.execute("LOCK TABLE hub.event IN ACCESS EXCLUSIVE MODE")
        draft = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Held up"), author))
        await asyncio.sleep(0.1)
        behind = asyncio.create_task(hub.do(DraftProposal(call=call, lead=lead, title="Behind it"), author))
        looking = asyncio.create_task(hub.actions(officer, lead, 1_000_000))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await hub.close()
            answers = await asyncio.gather(draft, behind, looking, return_exceptions=True)
        assert [type(each) for each in answers] == [Unknown, Unknown, Unknown]
        await locked.rollback()
        await other.close()

    told(story())


def test_a_word_too_long_to_be_indexed_and_a_written_backslash_are_recorded_as_any_other(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        texts = ["data:" + "x" * 3_000, "ж" * 20_000, "written: \\u0000 and \\\\u0000"]
        drafts = [DraftProposal(call=call, lead=lead, title="Long words", abstract=text) for text in texts]
        receipts = await asyncio.gather(*(hub.do(each, author) for each in drafts))
        assert all(each.events == 1 for each in receipts)
        await check_log(hub)
        await hub.close()

    told(story())


def test_a_proposal_of_fifty_partners_is_recorded_and_read_by_all_of_them(dsn):
    async def story():
        hub = await Hub.open(dsn)
        officer, author, lead, call = await region(hub)
        proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Of fifty"), author)).record
        for n in range(50):
            register = RegisterOrganization(name=f"Partner {n}", kind="other", city="Osh", country="KG")
            partner = (await hub.do(register, author)).record
            await hub.do(VerifyOrganization(organization=partner), officer)
            await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
        row = await hub.log.pool.fetchrow(f"SELECT readers FROM {hub.models.schema}.proposal")
        assert len(row["readers"]) == 52
        await check_log(hub)
        await hub.rebuild()
        await hub.close()

    told(story())


@pytest.mark.parametrize("given", [datetime.min.replace(tzinfo=timezone(timedelta(hours=23))), "\ud800", object()])
def test_what_cannot_be_sent_leaves_nothing_behind_on_its_connection(dsn, given):
    async def story():
        log = await Log.open(dsn, 2)
        with pytest.raises(Exception):  # noqa: B017  the client's own, by the kind of value
            kind = "timestamptz" if isinstance(given, datetime) else "text"
            await log.pool.fetchval(f"SELECT $1::{kind} IS NULL", given)
        await asyncio.sleep(0.3)
        # Its transaction is over: the time does not stand still, and nothing times out later.
        assert await log.pool.fetchval("SELECT clock_timestamp() - now() < interval '0.2 s'")
        assert log.pool.get_size() == 1
        await log.close()

    told(story())


def test_the_queue_is_bounded(dsn):
    async def story():
        hub = await Hub.open(dsn)
        someone = await person(hub, "Zarina")
        hub.writer._waiting.queue.extend([None] * MAX_WAITING)
        with pytest.raises(Busy):
            await hub.do(JoinHub(person=someone), someone)
        hub.writer._waiting.queue.clear()
        await hub.do(JoinHub(person=someone), someone)
        await hub.close()

    told(story())


def test_the_hub_itself_cannot_change_or_delete_an_event(dsn):
    async def story():
        hub = await Hub.open(dsn)
        await person(hub, "Zarina")
        for forbidden in (
            "UPDATE hub.event SET actor = 'x'",
            "DELETE FROM hub.event",
            "TRUNCATE hub.event",
            "DELETE FROM hub.tag",
            "DROP TABLE hub.event",
            "UPDATE hub.answer SET answer = '{}'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await hub.log.pool.execute(forbidden)
        await hub.close()

    told(story())


def test_personal_data_stand_nowhere_in_plain_and_are_gone_after_erasure(dsn):
    async def story():
        hub = await Hub.open(dsn)
        zarina = await person(hub, "Zarina")
        link = LinkOrcid(person=zarina, orcid="0000-0002-1825-0097")
        await hub.do(link, zarina, key="once")
        # Nor can anybody guess it from what a key was used for; and the key still answers.
        named = b"LinkOrcid\n" + msgspec.json.encode(link)
        noted = await hub.log.pool.fetchval("SELECT hash FROM hub.answer WHERE key = 'once'")
        assert len(noted) == 16 + 1 + 64
        assert noted[17:] not in (hashlib.sha256(named).hexdigest(), hashlib.blake2b(named, digest_size=32).hexdigest())
        first = await hub.do(link, zarina, key="once")
        assert await hub.do(link, zarina, key="once") == first
        with pytest.raises(Refusal):
            await hub.do(JoinHub(person=zarina), zarina, key="once")
        invited = (await hub.log.read(tag=zarina))[0].event
        sealed = [(zarina, "name", invited.name)]
        assert await hub.vault.read(hub.log.pool, sealed) == ["Zarina"]
        box = await hub.log.pool.fetchval("SELECT box FROM hub.box WHERE digest = $1", invited.name.sealed)
        assert hashlib.sha256(box).hexdigest() == invited.name.sealed
        for table in ("event", "tag", "answer", "box"):
            for row in await hub.log.pool.fetch(f"SELECT t::text AS t FROM hub.{table} t"):
                assert not re.search("zarina|0000-0002-1825-0097", row["t"], re.IGNORECASE)
        await hub.do(ErasePerson(person=zarina), zarina)
        assert await hub.vault.read(hub.log.pool, sealed) == [None]
        assert await hub.log.pool.fetchval("SELECT count(*) FROM hub.box WHERE person = $1", zarina) == 0
        again, other = await person(hub, "Zarina"), await person(hub, "Zamira")
        await hub.do(LinkOrcid(person=again, orcid="0000-0002-1825-0097"), again)
        # An iD that somebody has linked since stays theirs when who had it before is erased.
        await hub.do(UnlinkOrcid(person=again), again)
        await hub.do(LinkOrcid(person=other, orcid="0000-0002-1825-0097"), other)
        await hub.do(ErasePerson(person=again), again)
        third = await person(hub, "Zulfiya")
        with pytest.raises(Refusal):
            await hub.do(LinkOrcid(person=third, orcid="0000-0002-1825-0097"), third)
        await check_log(hub)
        await hub.close()

    told(story())


def test_an_erasure_is_done_whoever_waits_for_it(dsn):
    """Cancelled a moment after it was sent, a thousandth later each time: what is recorded is destroyed, too."""

    async def story():
        hub = await Hub.open(dsn)
        people = [await person(hub, f"Person {n}") for n in range(12)]
        for n, each in enumerate(people):
            waiting = asyncio.create_task(hub.do(ErasePerson(person=each), each, key="once"))
            await asyncio.sleep(n / 1000)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        held = "SELECT count(*) FROM hub.box WHERE person = ANY($1)"
        for _ in range(50):
            erased = [each.event.person for each in await hub.log.read(types=["PersonErased"])]
            if len(erased) > 6 and await hub.log.pool.fetchval(held, erased) == 0:
                break
            await asyncio.sleep(0.1)
        assert len(erased) > 6 and await hub.log.pool.fetchval(held, erased) == 0
        await hub.close()

    told(story())


def test_an_erasure_that_nobody_finished_is_finished(dsn, monkeypatch):
    async def story():
        hub = await Hub.open(dsn)
        zarina, aibek = await person(hub, "Zarina"), await person(hub, "Aibek")
        held = "SELECT count(*) FROM hub.box WHERE person = $1"

        async def away(*_):
            raise OSError("gone")

        with monkeypatch.context() as broken:
            broken.setattr(hub.erasures, "_destroy", away)
            for each in (zarina, aibek):
                with pytest.raises(OSError, match="gone"):
                    await hub.do(ErasePerson(person=each), each, key="once")
        assert await hub.log.pool.fetchval(held, zarina) == 2
        # A retry, whose answer was stored, finishes it; so does time, for who never asks again.
        await hub.do(ErasePerson(person=zarina), zarina, key="once")
        assert await hub.log.pool.fetchval(held, zarina) == 0 and await hub.log.pool.fetchval(held, aibek) == 2
        await hub.erasures.finish(hub.models.schema)
        assert await hub.log.pool.fetchval(held, aibek) == 0
        # Also a key alone, as after older keys were brought back: mirrors may hold the boxes.
        await hub._keys.execute("INSERT INTO key VALUES ($1, 'old', 'old')", aibek)
        await hub.erasures.finish(hub.models.schema)
        assert not await hub._keys.fetchval("SELECT count(*) FROM key WHERE person = $1", aibek)
        await hub.close()

    told(story())


def test_nothing_is_decided_by_a_clock_that_is_behind_the_log(dsn):
    """Another process whose clock is ahead has recorded something: what closes at a time has closed for everybody."""

    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        ahead = RegisterOrganization(name="Ahead", kind="other", city="Osh", country="KG")
        draft = DraftProposal(call=call, lead=lead, title="Too late")
        # Decided before it comes to its turn, and in that of the other one.
        later = datetime.now(UTC) + timedelta(days=30)
        both = hub.do(ahead, author, at=later), hub.do(draft, author)
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert first.at == later and isinstance(second, Refusal) and second.reason == Reason.ROUND_NOT_OPEN
        with pytest.raises(Refusal) as refused:
            await hub.do(draft, author)
        assert refused.value.reason == Reason.ROUND_NOT_OPEN
        await hub.close()

    told(story())


def test_states_that_left_the_memory_are_read_again(dsn):
    async def story():
        hub = await Hub.open(dsn)
        hub.states._held.most = 12
        officer, author, lead, call = await region(hub)
        await hub.do(AppointOfficer(organization=lead, person=author), officer)
        drafts = await asyncio.gather(
            *(hub.do(DraftProposal(call=call, lead=lead, title=f"Title {n}"), author) for n in range(60))
        )
        assert len({each.record for each in drafts}) == 60
        await check_log(hub)
        await hub.close()

    told(story())


@pytest.mark.parametrize(
    ("title", "reason"),
    [("null \0 here", Reason.INVALID), ("half \ud800 here", Reason.INVALID), ("long " * 20_000, Reason.TOO_LARGE)],
)
def test_what_cannot_be_recorded_is_refused_and_harms_nobody_else(dsn, title, reason):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        bad, good = (DraftProposal(call=call, lead=lead, title=text) for text in (title, "Good"))
        answers = await asyncio.gather(*(hub.do(each, author) for each in (good, bad, good)), return_exceptions=True)
        assert isinstance(answers[1], Refusal) and answers[1].reason == reason
        assert answers[0].events == answers[2].events == 1
        await check_log(hub)
        await hub.close()

    told(story())


ODD = (
    "\\N",
    "a\tb",
    "one\ntwo\r\nthree",
    "back\\slash \\. \\t",
    "{\"x\", 'y'}",
    "\x01\x1f\x7f \ufeff",
    "ҷ\u0301 𝔘 \U0010ffff",
)


def test_texts_of_every_kind_are_replayed_as_they_were_recorded(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        for text in ODD:
            draft = DraftProposal(call=call, lead=lead, title=f"{text} title", abstract=f"{text} abstract {text}")
            proposal = (await hub.do(draft, author)).record
            assess = {"level": "limited", "personal_data": False, "harms": f"{text} harm", "safeguards": f"{text} s"}
            await hub.do(AssessRisk(proposal=proposal, **assess), author)
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.rebuild()
        rows = await hub.log.pool.fetch(f"SELECT title FROM {hub.models.schema}.proposal ORDER BY id")
        assert [title for (title,) in rows] == [f"{text} title" for text in ODD]
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.close()

    told(story())


def test_a_changed_read_row_is_found_by_verify(dsn):
    async def story():
        hub = await Hub.open(dsn)
        _, _, lead, _ = await region(hub)
        await hub.log.pool.execute(f"UPDATE {hub.models.schema}.organization SET name = 'Forged'")
        assert (await verify(hub.log, hub.models))[1] == ("organization", lead)
        await hub.close()

    told(story())


WORK = """
import asyncio, sys
from domain.proposals.commands import DraftProposal
from hub.door import Hub

async def main(dsn, author, lead, call):
    hub = await Hub.open(dsn)
    async def client(n):
        for k in range(1_000):
            key = f"{sys.argv[5]}-{n}-{k}"
            receipt = await hub.do(DraftProposal(call=call, lead=lead, title="Under load"), author, key)
            sys.stdout.write(f"{key} {receipt.record}\\n"); sys.stdout.flush()
    await asyncio.gather(*(client(n) for n in range(8)))

asyncio.run(main(*sys.argv[1:5]))
"""


def lost_and_doubled(acknowledged, recorded):
    """Acknowledged records that the log does not have, and keys that it has twice."""
    records = {record for _, record in recorded}
    keys = [key for key, _ in recorded]
    return [r for _, r in acknowledged if r not in records], {k for k in keys if keys.count(k) > 1}


def test_lost_and_doubled_are_noticed():
    assert lost_and_doubled([("k", "a")], []) == (["a"], set())
    assert lost_and_doubled([], [("k", "a"), ("k", "b")]) == ([], {"k"})


def test_kill_nine_at_twenty_random_moments_loses_nothing_acknowledged(dsn):
    async def begin():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        await hub.close()
        return author, lead, call

    author, lead, call = told(begin())
    acknowledged = []
    chance = random.Random(20)
    for n in range(20):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORK, dsn, author, lead, call, f"run{n}"], stdout=subprocess.PIPE, text=True
        )
        acknowledged.append(tuple(worker.stdout.readline().split()))
        time.sleep(chance.uniform(0, 0.1))
        os.kill(worker.pid, signal.SIGKILL)
        rest, _ = worker.communicate(timeout=30)
        acknowledged += [tuple(line.split()) for line in rest.splitlines() if len(line.split()) == 2]

    async def compare():
        hub = await Hub.open(dsn)
        # Whoever was not answered sends it again: whether or not it was recorded, it is there once.
        draft, last = DraftProposal(call=call, lead=lead, title="Under load"), {}
        for key, _ in acknowledged:
            client, _, k = key.rpartition("-")
            last[client] = max(last.get(client, 0), int(k))
        unanswered = [f"{client}-{k + 1}" for client, k in last.items()]
        for key in unanswered:
            acknowledged.append((key, (await hub.do(draft, author, key)).record))
        rows = await check_log(hub)
        sent = {f"request_{hub.request_of(author, key)}": key for key, _ in acknowledged}
        drafted = [(row.request, row.event.proposal) for row in rows if row.type == "ProposalDrafted"]
        recorded = [(sent.get(request, request), proposal) for request, proposal in drafted]
        # The last line of a killed worker may be cut short: a record is acknowledged when it is whole.
        whole = [(key, record) for key, record in acknowledged if len(record) == len("proposal_") + 26]
        assert len(whole) >= 20 and len(unanswered) >= 20
        assert lost_and_doubled(whole, recorded) == ([], set())
        await hub.close()

    told(compare())


def test_a_hub_that_does_not_open_leaves_nothing(dsn, monkeypatch):
    async def story():
        await (await Hub.open(dsn)).close()

        async def away(self, schema):
            raise ConnectionResetError("gone")

        monkeypatch.setattr(Erasures, "finish", away)
        before = len(asyncio.all_tasks())
        for _ in range(3):
            with pytest.raises(ConnectionResetError):
                await Hub.open(dsn)
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        db = await asyncpg.connect(dsn)
        try:
            async with asyncio.timeout(10):
                while await db.fetchval(left) or len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0.05)
        finally:
            await db.close()

    told(story())
