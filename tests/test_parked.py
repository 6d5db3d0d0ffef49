"""A fold that fails parks its record: nothing else is held up, people are told, and the log has lost nothing."""

import json
import subprocess
import sys

import pytest

from domain.organizations.offices import AppointOfficer, DismissOfficer
from domain.proposals.commands import DraftProposal, ReviseProposal
from domain.proposals.events import ProposalRevised
from hub import batch
from hub.confirming import Unknown
from hub.door import Hub
from hub.models import verify
from projections.core import AUDITORS, FoldFailed
from projections.organizations import OfficerRow
from projections.proposals import ProposalRow
from tests.test_log import region, told

fold = batch.fold


@pytest.fixture
def broken(monkeypatch):
    """Titles on which the fold of a revision fails."""
    titles = set()

    def failing(cls, row, event, at):
        if cls is ProposalRow and isinstance(event, ProposalRevised) and event.title in titles:
            raise FoldFailed("ProposalRevised: ValueError: of all titles, this one")
        return fold(cls, row, event, at)

    monkeypatch.setattr(batch, "fold", failing)
    return titles


async def titles(hub):
    rows = await hub.log.pool.fetch(f"SELECT id, title FROM {hub.models.schema}.proposal")
    return {row["id"]: row["title"] for row in rows}


def test_a_fold_that_fails_parks_its_record_and_nothing_else(dsn, broken):
    broken.add("Poison")

    async def story():
        hub = await Hub.open(dsn)
        _, author, lead, call = await region(hub)
        one, other = [
            (await hub.do(DraftProposal(call=call, lead=lead, title=title), author)).record
            for title in ("One", "Other")
        ]
        # Recorded and answered as ever: what failed is how it is shown.
        receipt = await hub.do(ReviseProposal(proposal=one, title="Poison"), author)
        await hub.do(ReviseProposal(proposal=other, title="Other again"), author)
        await hub.do(ReviseProposal(proposal=one, title="Afterwards"), author)
        assert await titles(hub) == {one: "One", other: "Other again"}
        parked = await hub.log.pool.fetch(f"SELECT * FROM {hub.models.schema}.parked")
        assert [(row["table"], row["key"], row["position"]) for row in parked] == [
            ("proposal", [one], receipt.position)
        ]
        assert "of all titles, this one" in parked[0]["error"]
        assert [row.event.title for row in await hub.log.read(tag=one, types=["ProposalRevised"])] == [
            "Poison",
            "Afterwards",
        ]
        await hub.close()
        doctor = [sys.executable, "-m", "hub", "doctor", "--json"]
        env = {"HUB_DATABASE_URL": dsn, "PATH": ""}
        done = subprocess.run(doctor, env=env, capture_output=True, text=True, timeout=60)
        found = json.loads(done.stdout)["parked"]
        assert done.returncode == 1 and [each["key"] for each in found] == [[one]]
        # With what failed mended, the log tells everything.
        broken.clear()
        hub = await Hub.open(dsn)
        _, difference = await verify(hub.log, hub.models)
        assert difference == ("entry", receipt.position)
        await hub.rebuild()
        assert await titles(hub) == {one: "Afterwards", other: "Other again"}
        await hub.do(ReviseProposal(proposal=one, title="At last"), author)
        assert (await titles(hub))[one] == "At last"
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.close()

    told(story())


def test_what_another_process_parked_is_parked_here_too(dsn, broken):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(one)
        mine = (await one.do(DraftProposal(call=call, lead=lead, title="Mine"), author)).record
        await other.do(ReviseProposal(proposal=mine, title="Seen by both"), author)
        broken.add("Poison")
        await one.do(ReviseProposal(proposal=mine, title="Poison"), author)
        broken.clear()
        # A row that lacks an event is not gone on with, by nobody.
        await other.do(ReviseProposal(proposal=mine, title="Afterwards"), author)
        assert await titles(other) == {mine: "Seen by both"}
        assert await other.log.pool.fetchval(f"SELECT count(*) FROM {other.models.schema}.parked") == 1
        for each in (one, other):
            await each.close()

    told(story())


@pytest.mark.parametrize("appended", [False, True])
def test_what_another_process_made_whole_is_gone_on_with_as_it_is(dsn, broken, appended):
    async def story():
        one, other = await Hub.open(dsn), await Hub.open(dsn)
        _, author, lead, call = await region(one)
        mine = (await one.do(DraftProposal(call=call, lead=lead, title="Mine"), author)).record
        broken.add("Poison")
        await one.do(ReviseProposal(proposal=mine, title="Poison"), author)
        broken.clear()
        await other.rebuild()
        if appended:
            await other.do(DraftProposal(call=call, lead=lead, title="Another"), author)
        for n in range(3):
            # It is not recorded where the memory of a process lacks what the rows have, and asking again is.
            try:
                await one.do(ReviseProposal(proposal=mine, abstract=f"Abstract {n}"), author, f"key-{n}")
            except Unknown:
                assert n == 0 and not appended
                await one.do(ReviseProposal(proposal=mine, abstract=f"Abstract {n}"), author, f"key-{n}")
        assert (await titles(one))[mine] == "Poison"
        assert (await verify(one.log, one.models))[1] is None
        for each in (one, other):
            await each.close()

    told(story())


def test_what_happened_in_a_record_that_is_parked_is_not_everybodys(dsn, monkeypatch):
    """An organization is everybody's, who acts for it is not: where that row failed, nobody knows who may know."""

    def failing(cls, row, event, at):
        if cls is OfficerRow:
            raise FoldFailed("OfficerAppointed: ValueError")
        return fold(cls, row, event, at)

    async def story():
        hub = await Hub.open(dsn)
        officer, author, lead, _ = await region(hub)
        monkeypatch.setattr(batch, "fold", failing)
        appointed = (await hub.do(AppointOfficer(organization=lead, person=author), officer)).position
        dismissed = (await hub.do(DismissOfficer(organization=lead, person=author), officer)).position
        for position in (appointed, dismissed):
            readers = await hub.log.pool.fetchval(
                f"SELECT readers FROM {hub.models.schema}.entry WHERE position = $1", position
            )
            assert readers == [AUDITORS]
        await hub.close()

    told(story())
